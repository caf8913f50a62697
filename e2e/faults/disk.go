package faults

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// disk is what the broker's store lies on.
type disk interface {
	// path is the folder to store in.
	path() string
	// fill takes all the room that is left, free gives it back.
	fill() error
	free() error
	// cutPower loses what was not synced, as when the machine loses power: whoever
	// writes there was stopped before and is killed by kill. Of what was written last
	// to a message file, bytes is how much reaches the disk all the same, at most
	// what there was. It returns how many bytes were not synced.
	cutPower(kill func() error, bytes func(most int64) int64) (unsynced, kept int64, err error)
	// real tells whether cutPower and fill are there.
	real() bool
	close() error
}

var errNoDisk = errors.New("only root on Linux can make a file system to be filled and cut off")

// plainDisk is a folder, where nothing can be done to the disk.
type plainDisk struct{ dir string }

func (d plainDisk) path() string { return d.dir }
func (plainDisk) fill() error    { return errNoDisk }
func (plainDisk) free() error    { return nil }
func (plainDisk) real() bool     { return false }
func (plainDisk) close() error   { return nil }

func (plainDisk) cutPower(func() error, func(int64) int64) (int64, int64, error) {
	return 0, 0, errNoDisk
}

// lengths are the sizes of all message files below the folder.
func lengths(dir string) (map[string]int64, error) {
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".blk") {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sizes[path] = info.Size()
		}
		return nil
	})
	return sizes, err
}

// sortedPaths are the keys in order, so that a seed means the same.
func sortedPaths(sizes map[string]int64) []string {
	paths := make([]string, 0, len(sizes))
	for path := range sizes {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	return paths
}

// newest are the message files that are being written: the highest number of each
// folder.
func newest(sizes map[string]int64) []string {
	highest := map[string]int{}
	for path := range sizes {
		number, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".blk"))
		if err == nil {
			highest[filepath.Dir(path)] = max(highest[filepath.Dir(path)], number)
		}
	}
	var paths []string
	for dir, number := range highest {
		paths = append(paths, filepath.Join(dir, strconv.Itoa(number)+".blk"))
	}
	return paths
}
