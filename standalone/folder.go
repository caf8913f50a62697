package standalone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"sluice/schemas"
)

// lockDir makes the folder, readable by its owner alone since raw events hold
// passwords, and locks it for this process. The lock ends with the process,
// however that ends.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w (set STANDALONE_DIR to a folder that can be written)", err)
	}
	name := filepath.Join(dir, "standalone.lock")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write to the data folder: %w (set STANDALONE_DIR to a folder that can be written)", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by another standalone (stop that one, or set STANDALONE_DIR to another folder)", dir)
		}
		return nil, fmt.Errorf("lock the data folder %s: %w", dir, err)
	}
	return func() { _ = file.Close() }, nil
}

// freeBytes is how much an ordinary user may still write below dir.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("look up the free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // macOS has other types
}

// fitStreams returns smaller streams when all of them full would take more than
// half of what is free, the other half being the table's; nil when they fit.
// Streams that exist keep their size, so this shapes the first start alone.
func fitStreams(streams []schemas.Stream, free int64) []schemas.Stream {
	var total int64
	for _, s := range streams {
		total += s.MaxBytes
	}
	if total <= free/2 {
		return nil
	}
	scaled := slices.Clone(streams)
	for i := range scaled {
		share := float64(scaled[i].MaxBytes) / float64(total)
		scaled[i].MaxBytes = max(minStreamBytes, int64(share*float64(free/2)))
	}
	return scaled
}

// minStreamBytes holds a few of the largest events at least.
const minStreamBytes = 4 * schemas.MaxPayloadBytes
