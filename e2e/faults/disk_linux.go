package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loopDisk is an ext4 file system in a file, of its own for the broker's store.
type loopDisk struct {
	image, mount string
}

// newDisk makes a file system in dir if it may, else a plain folder.
func newDisk(dir string, size int64) (disk, error) {
	if os.Geteuid() != 0 {
		return plainDisk{filepath.Join(dir, "store")}, nil
	}
	d := &loopDisk{image: filepath.Join(dir, "store.img"), mount: filepath.Join(dir, "store")}
	if err := os.MkdirAll(d.mount, 0o700); err != nil {
		return nil, err
	}
	file, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	err = errors.Join(file.Truncate(size), file.Close())
	if err != nil {
		return nil, err
	}
	if run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", d.image) != nil || d.attach() != nil {
		return plainDisk{d.mount}, errors.Join(os.Remove(d.image))
	}
	return d, nil
}

func (d *loopDisk) attach() error { return run("mount", "-o", "loop", d.image, d.mount) }

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput() //nolint:noctx // some milliseconds
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (d *loopDisk) path() string    { return filepath.Join(d.mount, "js") }
func (d *loopDisk) ballast() string { return filepath.Join(d.mount, "ballast") }
func (*loopDisk) real() bool        { return true }

func (d *loopDisk) fill() error {
	file, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer file.Close()
	// Whole chunks first, then smaller ones, until not a block is left.
	at := int64(0)
	for chunk := int64(1 << 30); chunk >= 4096; {
		err := unix.Fallocate(int(file.Fd()), 0, at, chunk)
		switch {
		case err == nil:
			at += chunk
		case errors.Is(err, unix.ENOSPC):
			chunk /= 4
		default:
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

func (d *loopDisk) free() error {
	err := os.Remove(d.ballast())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// ext4Shutdown is FS_IOC_SHUTDOWN, and noLogFlush its mode in which not even the
// journal is written: what was not synced is lost, as without power.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

func (d *loopDisk) cutPower(kill func() error, bytes func(int64) int64) (unsynced, kept int64, err error) {
	written, err := lengths(d.path())
	if err != nil {
		return 0, 0, err
	}
	tails, err := readTails(written, newest(written))
	if err != nil {
		return 0, 0, err
	}
	if err := d.shutdown(); err != nil {
		return 0, 0, fmt.Errorf("cut the power: %w", err)
	}
	if err := kill(); err != nil {
		return 0, 0, err
	}
	if err := run("umount", d.mount); err != nil {
		return 0, 0, err
	}
	if err := d.attach(); err != nil {
		return 0, 0, err
	}
	synced, err := lengths(d.path())
	if err != nil {
		return 0, 0, err
	}
	for _, path := range sortedPaths(written) {
		size, there := synced[path]
		lost := written[path] - size
		if !there || lost <= 0 {
			continue
		}
		unsynced += lost
		tail := tails[path]
		if int64(len(tail)) < lost {
			continue // more than the last write; leave it lost
		}
		n := bytes(lost)
		kept += n
		if err := appendTo(path, tail[int64(len(tail))-lost:][:n]); err != nil {
			return unsynced, kept, err
		}
	}
	return unsynced, kept, nil
}

func (d *loopDisk) shutdown() error {
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer dir.Close()
	mode := uint32(noLogFlush)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), ext4Shutdown,
		uintptr(unsafe.Pointer(&mode))) //nolint:gosec // the call reads these four bytes, while mode lives
	if errno != 0 {
		return errno
	}
	return nil
}

// tailBytes is more than the broker writes between two syncs: a batch.
const tailBytes = 16 << 20

func readTails(sizes map[string]int64, paths []string) (map[string][]byte, error) {
	tails := map[string][]byte{}
	for _, path := range paths {
		size := sizes[path]
		from := max(0, size-tailBytes)
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tails[path], err = io.ReadAll(io.NewSectionReader(file, from, size-from))
		_ = file.Close()
		if err != nil {
			return nil, err
		}
	}
	return tails, nil
}

func appendTo(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

func (d *loopDisk) close() error { return run("umount", d.mount) }
