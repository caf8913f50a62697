package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// archive writes <name>.tar.gz: owners, times and modes are not those of whoever
// packs, and gzip notes no name and no time.
func (r release) archive(name string, binaries []string, bill []byte) error {
	out, err := os.Create(filepath.Join(r.dist, name+".tar.gz"))
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	defer out.Close()
	packed := gzip.NewWriter(out)
	t := tar.NewWriter(packed)
	add := func(path string, mode int64, content []byte) error {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: name + "/" + path, Mode: mode, Size: int64(len(content)), ModTime: r.at,
			Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := t.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
		if _, err := t.Write(content); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
		return nil
	}
	for _, path := range binaries {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		if err := add("bin/"+filepath.Base(path), 0o755, content); err != nil {
			return err
		}
	}
	for _, path := range r.files {
		content, mode := []byte(nil), int64(0o644)
		if content, err = os.ReadFile(filepath.Join(r.root, path)); err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		if strings.HasSuffix(path, ".sh") {
			mode = 0o755
		}
		if err := add(path, mode, content); err != nil {
			return err
		}
	}
	if err := add("THIRD_PARTY_LICENCES", 0o644, r.notices); err != nil {
		return err
	}
	if err := add("sbom.cdx.json", 0o644, bill); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if err := packed.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return out.Close()
}

// writeSums writes SHA256SUMS, as sha256sum -c reads it.
func (r release) writeSums(names []string) error {
	slices.Sort(names)
	var sums strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(r.dist, name))
		if err != nil {
			return fmt.Errorf("sum up: %w", err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	if err := os.WriteFile(filepath.Join(r.dist, "SHA256SUMS"), []byte(sums.String()), 0o644); err != nil { // #nosec G306 -- to be read by all
		return fmt.Errorf("write SHA256SUMS: %w", err)
	}
	return nil
}
