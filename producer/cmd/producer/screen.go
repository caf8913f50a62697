package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"sluice/producer/intake"
)

// screen writes to stderr. On a terminal its last line shows how far the run is;
// whatever else is written goes above it. It is safe for concurrent use.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	size     int64 // of the input, 0 where unknown
	started  time.Time
	drawn    time.Time
	bar      bool // whether the last line is the progress
}

// redrawEvery keeps the line readable, and the terminal idle.
const redrawEvery = 200 * time.Millisecond

func newScreen(out *os.File, size int64) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	now := time.Now()
	return &screen{out: out, terminal: terminal, size: size, started: now, drawn: now}
}

// Write implements io.Writer for whole lines.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	return s.out.Write(p)
}

// show draws the progress, if there is a terminal and it is time.
func (s *screen) show(summary intake.Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.terminal || now.Sub(s.drawn) < redrawEvery {
		return
	}
	s.wipe()
	s.drawn, s.bar = now, true
	fmt.Fprint(s.out, progress(summary, s.size, now.Sub(s.started)))
}

// close removes the progress.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

func (s *screen) wipe() {
	if s.bar {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.bar = false
	}
}

// progress is one line that fits a terminal of 80 columns.
func progress(s intake.Summary, size int64, elapsed time.Duration) string {
	const mib = 1 << 20
	amount := fmt.Sprintf("%.1f MiB", float64(s.Bytes)/mib)
	if size > 0 {
		const width = 20
		done := min(width, int(s.Bytes*width/size))
		amount = fmt.Sprintf("[%-*.*s] %3d %% of %.1f MiB", width, done, "####################",
			min(100, s.Bytes*100/size), float64(size)/mib)
	}
	events := s.Published + s.Duplicate + s.Refused
	text := fmt.Sprintf("%s, %d events, %.0f/s", amount, events, float64(events)/max(elapsed.Seconds(), 0.001))
	if s.Refused > 0 {
		text += fmt.Sprintf(", refused %d", s.Refused)
	}
	return text
}
