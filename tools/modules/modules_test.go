package modules_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sluice/tools/modules"
)

func TestParsePlatforms(t *testing.T) {
	tests := []struct {
		list string
		want []modules.Platform
	}{
		{"linux/amd64 darwin/arm64", []modules.Platform{{OS: "linux", Arch: "amd64"}, {OS: "darwin", Arch: "arm64"}}},
		{"", nil},
		{"linux", nil},
		{"/amd64", nil},
	}
	for _, tt := range tests {
		got, err := modules.ParsePlatforms(tt.list)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: got %v, %v; want %v", tt.list, got, err, tt.want)
		}
	}
}

// The licence of a package's own folder counts beside its module's, and a notice goes along without being one.
func TestLicences(t *testing.T) {
	apache, err := os.ReadFile(filepath.Join("..", "..", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	used, unused := filepath.Join(dir, "a", "used"), filepath.Join(dir, "b")
	for _, folder := range []string{used, unused} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string][]byte{
		filepath.Join(dir, "LICENSE"):          apache,
		filepath.Join(dir, "NOTICE"):           []byte("made by somebody"),
		filepath.Join(dir, "licence.go"):       []byte("package a"),
		filepath.Join(dir, "a", "COPYING.txt"): []byte("You may use this on Sundays."),
		filepath.Join(unused, "LICENSE"):       apache,
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := modules.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	files, err := reader.Licences(modules.Module{Path: "example.com/a", Dir: dir, Packages: []string{dir, used}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, f := range files {
		got[f.Name] = f.IDs
	}
	want := map[string][]string{"LICENSE": {"Apache-2.0"}, "NOTICE": nil, "a/COPYING.txt": nil}
	for name, ids := range want {
		have, there := got[name]
		if !there || !slices.Equal(have, ids) {
			t.Errorf("%s: got %v, %v; want %v", name, have, there, ids)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}
