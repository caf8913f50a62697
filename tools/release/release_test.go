package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What a file was on the disk of whoever packs, its time, owner and mode, is not in the archive.
func TestArchiveHasNothingOfThisMachine(t *testing.T) {
	pack := func(mode os.FileMode, changed time.Time) []byte {
		r := release{root: t.TempDir(), dist: t.TempDir(), at: time.Unix(1_700_000_000, 0), files: []string{"LICENSE", "tool.sh"}, notices: []byte("theirs")}
		program := filepath.Join(t.TempDir(), "sink")
		for _, path := range []string{program, filepath.Join(r.root, "LICENSE"), filepath.Join(r.root, "tool.sh")} {
			if err := os.WriteFile(path, []byte("content"), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, changed, changed); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.archive("sluice_1", []string{program}, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		packed, err := os.ReadFile(filepath.Join(r.dist, "sluice_1.tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	one := pack(0o600, time.Unix(1, 0))
	if another := pack(0o755, time.Unix(1_800_000_000, 0)); !bytes.Equal(one, another) {
		t.Error("two archives of the same content differ")
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, header.FileInfo().Mode().String()+" "+header.Name)
	}
	want := []string{
		"-rwxr-xr-x sluice_1/bin/sink", "-rw-r--r-- sluice_1/LICENSE", "-rwxr-xr-x sluice_1/tool.sh",
		"-rw-r--r-- sluice_1/THIRD_PARTY_LICENCES", "-rw-r--r-- sluice_1/sbom.cdx.json",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
