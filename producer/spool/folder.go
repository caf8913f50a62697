package spool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// segment is one file of records, numbered on from first.
type segment struct {
	path  string
	first uint64
	count uint64
	bytes int64
}

func (s *segment) end() uint64 { return s.first + s.count }

const (
	segmentSuffix = ".events"
	// damagedSuffix is for what cannot be read of a segment.
	damagedSuffix = ".damaged"
	// refusedFile has the events that the broker does not take.
	refusedFile  = "refused.ndjson"
	positionFile = "position"
	lockFile     = "lock"
)

// lock makes the folder, readable by its owner alone since raw events hold
// passwords, and locks it for this process. The lock ends with the process,
// however that ends.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another process: give each a folder of its own", dir)
		}
		return nil, err
	}
	return file, nil
}

// recover finds what an earlier process has left, cuts off what it was writing
// when it ended, and returns the segments in order.
func recoverSegments(dir string, log *slog.Logger) ([]*segment, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(names) // numbers of one length
	var segments []*segment
	for i, name := range names {
		first, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), segmentSuffix), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is no segment: move it away", name)
		}
		s := &segment{path: name, first: first}
		if err := s.recover(i == len(names)-1, log); err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// recover counts the records, and cuts the file where they end. What was cut off
// is kept aside unless it is the torn end of the last write, which nobody was
// told is stored.
func (s *segment) recover(last bool, log *slog.Logger) error {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	in, buffer := bufio.NewReaderSize(file, 64<<10), make([]byte, maxRecordBytes)
	for {
		payload, err := readRecord(in, buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			s.count++
			s.bytes += int64(headerBytes + len(payload))
			continue
		}
		if !errors.Is(err, errBroken) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		return s.cut(file, last, log)
	}
}

func (s *segment) cut(file *os.File, last bool, log *slog.Logger) error {
	rest, err := io.ReadAll(io.NewSectionReader(file, s.bytes, 1<<40))
	if err != nil {
		return fmt.Errorf("read %s: %w", s.path, err)
	}
	if last && torn(rest) {
		log.Info("spool: cut off an event that was being written when the process ended", "file", s.path, "bytes", len(rest))
	} else {
		if err := writeFile(s.path+damagedSuffix, rest); err != nil {
			return err
		}
		log.Error("spool: a part of a file cannot be read and is kept aside", "file", s.path+damagedSuffix, "bytes", len(rest))
	}
	if err := file.Truncate(s.bytes); err != nil {
		return fmt.Errorf("cut %s: %w", s.path, err)
	}
	return file.Sync()
}

// torn tells the end of an interrupted write, after which nothing follows: less
// than a record, one record alone, or the zeros of a file that was made longer
// before it was filled.
func torn(rest []byte) bool {
	if len(bytes.Trim(rest, "\x00")) == 0 || len(rest) < headerBytes {
		return true
	}
	size := int64(rest[0]) | int64(rest[1])<<8 | int64(rest[2])<<16 | int64(rest[3])<<24
	return size >= 2 && size <= maxRecordBytes && int64(len(rest)) <= headerBytes+size
}

// writeFile writes a file that is there as a whole once it returns.
func writeFile(name string, text []byte) error {
	file, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readPosition returns the number of the first record that is not handed over. A
// file that is lost or old only means that events are handed over again, which
// their ids make harmless.
func readPosition(dir string) uint64 {
	text, err := os.ReadFile(filepath.Join(dir, positionFile))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// writePosition is not synced, see readPosition.
func writePosition(dir string, n uint64) error {
	name := filepath.Join(dir, positionFile)
	if err := os.WriteFile(name+".new", strconv.AppendUint(nil, n, 10), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
