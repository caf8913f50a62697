package authentik

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// segment is one file still to be read, from that place on.
type segment struct {
	name  string
	place Place
}

// plan says which files hold what has not been read of the log at path: the file
// that was being read, wherever rotation has moved it, the files that came after
// it, and the one that has the name now. Without a place, or when the file is no
// longer there, that is the last alone, from its beginning. found tells whether
// the file was there.
func plan(path string, at Place) (segments []segment, found bool) {
	current := segment{name: path}
	if at.HeadBytes == 0 {
		return []segment{current}, true
	}
	if has(path, at) {
		return []segment{{path, at}}, true
	}
	rotated := siblings(path)
	for i, name := range rotated {
		if !has(name, at) {
			continue
		}
		segments = append(segments, segment{name, at})
		for _, later := range rotated[i+1:] {
			segments = append(segments, segment{name: later})
		}
		return append(segments, current), true
	}
	return []segment{current}, false
}

// has tells whether the file begins as the place says, and is at least as long.
func has(name string, at Place) bool {
	file, _, err := open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	first := make([]byte, at.HeadBytes)
	if _, err := io.ReadFull(file, first); err != nil {
		return false
	}
	if head, _ := headOf(first); head != at.Head {
		return false
	}
	if seeker, ok := file.(*os.File); ok {
		info, err := seeker.Stat()
		return err == nil && info.Size() >= at.Offset
	}
	return true
}

// siblings are the rotated files of a log, oldest first: kubelet's 0.log.20260830-192526,
// logrotate's and Docker's x.log.1, compressed or not.
func siblings(path string) []string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil { // between the renaming and the new file there is none
		target = path
	}
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return nil
	}
	type file struct {
		name string
		info fs.FileInfo
	}
	var files []file
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), filepath.Base(target)+".")
		if !ok || strings.Contains(rest, "new-") || strings.HasSuffix(rest, ".tmp") {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, file{filepath.Join(filepath.Dir(target), entry.Name()), info})
		}
	}
	slices.SortStableFunc(files, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.name)
	}
	return names
}

// open opens a log file; one whose name ends in .gz is decompressed.
func open(name string) (io.ReadCloser, fs.FileInfo, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory: name the files in it")}
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	if !strings.HasSuffix(name, ".gz") {
		return file, info, nil
	}
	unzip, err := gzip.NewReader(file)
	if err != nil {
		_ = file.Close()
		return nil, nil, &fs.PathError{Op: "decompress", Path: name, Err: err}
	}
	return &unzipped{unzip, file}, info, nil
}

type unzipped struct {
	*gzip.Reader
	file *os.File
}

func (u *unzipped) Close() error { return u.file.Close() }

// openAt opens a file at an offset.
func openAt(s segment) (io.ReadCloser, fs.FileInfo, error) {
	file, info, err := open(s.name)
	if err != nil || s.place.Offset == 0 {
		return file, info, err
	}
	if seeker, ok := file.(*os.File); ok {
		_, err = seeker.Seek(s.place.Offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, file, s.place.Offset)
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
