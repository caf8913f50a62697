package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockFile holds the lock on a data directory and the process id of its holder.
const lockFile = "clickhouse-embedded.lock"

// directory is a data directory that this process alone uses.
type directory struct {
	path string
	lock *os.File
}

// lockDirectory creates the directory if need be and takes its lock, which the
// system takes back when the process ends, however it ends.
func lockDirectory(path string) (*directory, error) {
	if path == "" {
		return nil, errors.New("no data directory is named")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w", path, pathCause(err))
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write to data directory %s: %w", path, pathCause(err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := lock.Read(holder) // the number only makes the message better
		_ = lock.Close()
		return nil, fmt.Errorf("data directory %s is in use by another engine, process %s", path, strings.TrimSpace(string(holder[:n])))
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("write to data directory %s: %w", path, pathCause(err))
	}
	return &directory{path: path, lock: lock}, nil
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

func (d *directory) release() { _ = d.lock.Close() } // closing unlocks; nothing is left to lose

// pathCause takes the operation and the path off an error: the caller has named
// the directory.
func pathCause(err error) error {
	if detailed, ok := errors.AsType[*os.PathError](err); ok {
		return detailed.Err
	}
	return err
}
