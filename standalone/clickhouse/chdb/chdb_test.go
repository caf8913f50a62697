package chdb

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestParseError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, message string
		want          Error
	}{
		{"engine", "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)", Error{60, "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)"}},
		{"library", "Error: Code: 62. DB::Exception: Bad. (SYNTAX_ERROR)\n", Error{62, "Code: 62. DB::Exception: Bad. (SYNTAX_ERROR)"}},
		{"several lines", "Code: 27. DB::Exception: at\nline 2. (X)", Error{27, "Code: 27. DB::Exception: at\nline 2. (X)"}},
		{"without a code", "Invalid or closed connection", Error{1002, "Code: 1002. DB::Exception: Invalid or closed connection (UNKNOWN_EXCEPTION)"}},
		{"code beyond any", "Code: 99999999999999999999. x", Error{1002, "Code: 99999999999999999999. x"}},
	} {
		if got := parseError(test.message); *got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, *got, test.want)
		}
	}
}

func TestPackageName(t *testing.T) {
	t.Parallel()
	for platform, want := range map[[2]string]string{
		{"linux", "amd64"}:  "lib-linux-x64-gnu",
		{"linux", "arm64"}:  "lib-linux-arm64-gnu",
		{"darwin", "arm64"}: "lib-darwin-arm64",
	} {
		if got := packageName(platform[0], platform[1]); got != want {
			t.Errorf("packageName(%v) = %s, want %s", platform, got, want)
		}
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "libchdb.so")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Locate(file); got != file || err != nil {
		t.Errorf("Locate(%s) = %s, %v", file, got, err)
	}
	for _, missing := range []string{filepath.Join(dir, "nothing"), dir} {
		if _, err := Locate(missing); !errors.Is(err, ErrNotInstalled) {
			t.Errorf("Locate(%s) = %v, want %v", missing, err, ErrNotInstalled)
		}
	}
	t.Chdir(dir)
	if _, err := Locate(""); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("Locate in an empty directory = %v, want %v", err, ErrNotInstalled)
	}
}
