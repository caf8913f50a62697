package authentik

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/producer/intake"
)

// LogConfig says which logs to read.
type LogConfig struct {
	Tenant string
	// Location is that of times without an offset, which is how authentik writes
	// them; nil is UTC.
	Location *time.Location
	// Files are read in this order; - is stdin. With Follow a pattern (*, ?, [)
	// stands for the files that match it, those that come later too.
	Files []string
	// Follow goes on at the end of the files, over rotations.
	Follow bool
	// Report gets a line for each event that was lost in a log, and for a file
	// that cannot be found again.
	Report io.Writer
	Stdin  io.Reader
}

// pollEvery is how often the end of a followed file is looked at.
const pollEvery = 250 * time.Millisecond

// Logs reads log files, each from its place in the book.
func Logs(cfg LogConfig, book *Book) (intake.Reader, error) {
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	reader, err := newReader(cfg.Tenant, cfg.Location)
	if err != nil {
		return nil, err
	}
	if cfg.Follow {
		for _, name := range cfg.Files {
			if _, err := filepath.Match(name, ""); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	// The book belongs to another goroutine from here on.
	l := &logs{cfg: cfg, reader: reader, places: maps.Clone(book.state.Files)}
	return l.read, nil
}

type logs struct {
	cfg    LogConfig
	reader *reader
	places map[string]Place
	tails  []*tail
}

func (l *logs) reportf(format string, args ...any) {
	fmt.Fprintf(l.cfg.Report, format+"\n", args...)
}

func (l *logs) read(ctx context.Context, emit func(intake.Item) bool) error {
	buf := make([]byte, readBytes)
	for _, name := range l.cfg.Files {
		switch {
		case name == "-":
			if err := l.stdin(buf, emit); err != nil {
				return ended(err)
			}
		case !l.cfg.Follow:
			t := l.tail(name, emit)
			for len(t.segments) > 0 {
				if _, err := t.read(buf, false); err != nil {
					return ended(err)
				}
			}
		}
	}
	if !l.cfg.Follow {
		return nil
	}
	return ended(l.follow(ctx, buf, emit))
}

func ended(err error) error {
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

func (l *logs) tail(name string, emit func(intake.Item) bool) *tail {
	path, err := filepath.Abs(name)
	if err != nil {
		path = name
	}
	t := &tail{path: path, reader: l.reader, emit: emit, report: l.reportf}
	t.begin(l.places[path])
	return t
}

// stdin has no place to go on from.
func (l *logs) stdin(buf []byte, emit func(intake.Item) bool) error {
	t := &tail{path: "stdin", reader: l.reader, report: l.reportf, emit: func(it intake.Item) bool {
		it.Position = nil
		return emit(it)
	}}
	t.segments, t.file, t.first = []segment{{name: "stdin"}}, io.NopCloser(l.cfg.Stdin), nil
	for len(t.segments) > 0 {
		if _, err := t.read(buf, false); err != nil {
			return err
		}
	}
	return nil
}

// follow reads what the logs hold, in turns, and waits when there is no more.
func (l *logs) follow(ctx context.Context, buf []byte, emit func(intake.Item) bool) error {
	defer func() {
		for _, t := range l.tails {
			if t.file != nil {
				_ = t.file.Close()
			}
		}
	}()
	l.tellMissing()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		l.look(emit)
		some := false
		for _, t := range l.tails {
			more, err := t.read(buf, true)
			some, t.idle = some || more, !more
			switch {
			case errors.Is(err, errDone):
				return err
			case errors.Is(err, fs.ErrNotExist): // rotation is about to bring it back
			case err != nil:
				return fmt.Errorf("follow %s: %w", t.path, err)
			}
		}
		if some {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// tellMissing says what is waited for, which may be a typing mistake.
func (l *logs) tellMissing() {
	for _, name := range l.cfg.Files {
		if found, _ := filepath.Glob(name); name == "-" || len(found) > 0 {
			continue
		}
		if _, err := os.Lstat(name); err != nil {
			l.reportf("%s is not there yet; waiting for it", name)
		}
	}
}

// look finds the logs that have come since, and lets go of those that are over: a
// pattern's file that is gone and read to its end.
func (l *logs) look(emit func(intake.Item) bool) {
	known := map[string]bool{}
	kept := l.tails[:0]
	for _, t := range l.tails {
		_, err := os.Lstat(t.path)
		if errors.Is(err, fs.ErrNotExist) && t.idle && !l.named(t.path) {
			if t.file != nil {
				_ = t.file.Close()
			}
			continue
		}
		known[t.path] = true
		kept = append(kept, t)
	}
	l.tails = kept
	for _, name := range l.cfg.Files {
		names := []string{name}
		if strings.ContainsAny(name, "*?[") {
			names, _ = filepath.Glob(name) // a malformed pattern was refused before
		}
		for _, name := range names {
			path, err := filepath.Abs(name)
			if name == "-" || err != nil || known[path] {
				continue
			}
			known[path] = true
			l.tails = append(l.tails, l.tail(path, emit))
		}
	}
}

// named tells whether the file is one that was asked for by its name.
func (l *logs) named(path string) bool {
	for _, name := range l.cfg.Files {
		if abs, err := filepath.Abs(name); err == nil && abs == path {
			return true
		}
	}
	return false
}
