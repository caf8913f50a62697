package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// What is written and synced at once at most.
const (
	batchMsgs  = 1000
	batchBytes = 4 << 20
)

// writer owns the segment that is written to.
type writer struct {
	*Spool

	file *os.File
	seg  *segment // the one that file is
	// broken is a sync that failed: nobody knows what is on disk any more.
	broken error
}

// write keeps events until the spool is closed: all that come while the last are
// synced share the next sync.
func (s *Spool) write() {
	w := writer{Spool: s}
	defer w.close()
	for {
		select {
		case first := <-s.requests:
			w.keep(w.gather(first))
		case <-s.tidy:
			w.removeDelivered()
		case <-s.stopped.Done():
			return
		}
	}
}

func (w *writer) gather(first request) []request {
	batch, size := []request{first}, len(first.message.JSON())
	for len(batch) < batchMsgs && size < batchBytes {
		select {
		case r := <-w.requests:
			batch, size = append(batch, r), size+len(r.message.JSON())
		default:
			return batch
		}
	}
	return batch
}

// keep writes what there is room for and answers everybody.
func (w *writer) keep(batch []request) {
	w.mu.Lock()
	room := w.cfg.MaxBytes - w.bytes
	w.mu.Unlock()
	var text []byte
	kept := batch[:0:0]
	for _, r := range batch {
		before := len(text)
		if text = appendRecord(text, r.message); int64(len(text)) > room {
			text = text[:before]
			r.outcome <- fmt.Errorf("%w: it has %d bytes", ErrFull, w.cfg.MaxBytes)
			continue
		}
		kept = append(kept, r)
	}
	err := w.broken
	if err == nil && len(kept) > 0 {
		err = w.append(text, uint64(len(kept)))
	}
	for _, r := range kept {
		r.outcome <- err
	}
}

// append writes records to the end of the spool and syncs them.
func (w *writer) append(text []byte, count uint64) error {
	if w.file == nil || w.seg.bytes >= min(maxSegmentBytes, w.cfg.MaxBytes/4) {
		if err := w.roll(); err != nil {
			return classify(err)
		}
	}
	before := w.seg.bytes
	if _, err := w.file.WriteAt(text, before); err != nil {
		if e := w.file.Truncate(before); e != nil {
			w.broken = fmt.Errorf("write spool: %w; open it again", e)
		}
		return classify(err)
	}
	if err := w.file.Sync(); err != nil {
		w.broken = fmt.Errorf("sync spool: %w; open it again", err)
		return w.broken
	}
	w.update(func(st *state) {
		w.seg.bytes += int64(len(text))
		w.seg.count += count
		st.bytes += int64(len(text))
		st.next += count
	})
	return nil
}

// classify names a full disk.
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("write spool: %w", err)
}

// roll begins a new segment.
func (w *writer) roll() error {
	w.close()
	w.mu.Lock()
	first := w.next
	w.mu.Unlock()
	seg := &segment{path: filepath.Join(w.cfg.Dir, fmt.Sprintf("%020d%s", first, segmentSuffix)), first: first}
	file, err := os.OpenFile(seg.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(w.cfg.Dir); err != nil {
		return errors.Join(err, file.Close())
	}
	w.file, w.seg = file, seg
	w.update(func(st *state) {
		// One that holds nothing had the same name.
		st.segments = slices.DeleteFunc(st.segments, func(s *segment) bool { return s.first == first })
		st.segments = append(st.segments, seg)
	})
	return nil
}

// removeDelivered removes the segments of which everything is handed over.
func (w *writer) removeDelivered() {
	w.mu.Lock()
	var done []*segment
	for _, seg := range w.segments {
		if seg.end() <= w.delivered {
			done = append(done, seg)
		}
	}
	w.mu.Unlock()
	for _, seg := range done {
		if seg == w.seg {
			w.close()
		}
		if err := os.Remove(seg.path); err != nil {
			w.cfg.Log.Error("spool: remove what is handed over", "error", err)
			return
		}
		w.update(func(st *state) {
			st.bytes -= seg.bytes
			st.segments = slices.DeleteFunc(st.segments, func(s *segment) bool { return s == seg })
		})
	}
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // all of it is synced
		w.file, w.seg = nil, nil
	}
}
