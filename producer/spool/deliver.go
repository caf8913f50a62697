package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice/producer"
)

const (
	// attemptWait is how long the broker has for one batch.
	attemptWait = 10 * time.Second
	// retryFirst and retryLast are the delays while the broker is away or full.
	retryFirst = 50 * time.Millisecond
	retryLast  = 2 * time.Second
	// idle is after how long without events what is handed over is removed, though
	// its segment is not full.
	idle = time.Second
)

// deliverer owns the place up to which events are handed over.
type deliverer struct {
	*Spool

	file synced
	in   *bufio.Reader
	// at is the number of the record that in stands before.
	at  uint64
	seg *segment
	// away is the fault that goes on, nil if there is none.
	away error
}

// synced reads a file up to where it is synced: what is written behind that may
// be taken back.
type synced struct {
	*os.File
	at, end int64
}

// Read implements io.Reader.
func (f *synced) Read(p []byte) (int, error) {
	if f.at >= f.end {
		return 0, io.EOF
	}
	n, err := f.ReadAt(p[:min(int64(len(p)), f.end-f.at)], f.at)
	f.at += int64(n)
	return n, err
}

// deliver hands events over until the spool is closed.
func (s *Spool) deliver() {
	d := deliverer{Spool: s}
	defer d.close()
	delay := retryFirst
	for s.stopped.Err() == nil {
		batch, err := d.read()
		if err == nil && len(batch) == 0 {
			d.wait()
			continue
		}
		if err == nil {
			err = d.handOver(batch)
		}
		if err == nil {
			delay = retryFirst
			continue
		}
		d.close() // it reads on from where it is known to be
		d.tell(err)
		select {
		case <-time.After(delay):
		case <-s.stopped.Done():
		}
		delay = min(2*delay, retryLast)
	}
}

// entry is a record with what became of it.
type entry struct {
	message producer.Message
	payload []byte
	err     error // it is no event
}

// read returns the next records, none if there are none.
func (d *deliverer) read() ([]entry, error) {
	d.mu.Lock()
	delivered, next := d.delivered, d.next
	var seg *segment
	for _, s := range d.segments {
		if s.count > 0 && delivered < s.end() {
			seg = s
			break
		}
	}
	var end uint64
	if seg != nil {
		end, d.file.end = seg.end(), seg.bytes
	}
	d.mu.Unlock()
	if seg == nil {
		if delivered < next { // a gap where a damaged part was
			d.update(func(st *state) { st.delivered = next })
		}
		return nil, nil
	}
	if delivered < seg.first { // the same
		delivered = seg.first
		d.update(func(st *state) { st.delivered = delivered })
	}
	if err := d.seek(seg, delivered); err != nil {
		return nil, err
	}
	var batch []entry
	for size := 0; d.at < end && len(batch) < batchMsgs && size < batchBytes; d.at++ {
		payload, err := readRecord(d.in, nil)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", seg.path, err)
		}
		size += len(payload)
		e := entry{payload: payload}
		e.message, e.err = message(payload)
		batch = append(batch, e)
	}
	return batch, nil
}

// seek stands before that record of the segment.
func (d *deliverer) seek(seg *segment, at uint64) error {
	if d.file.File != nil && d.seg == seg && d.at == at {
		return nil
	}
	d.close()
	file, err := os.Open(seg.path)
	if err != nil {
		return err
	}
	d.file.File, d.file.at = file, 0
	d.in, d.seg, d.at = bufio.NewReaderSize(&d.file, 64<<10), seg, seg.first
	for ; d.at < at; d.at++ {
		if _, err := readRecord(d.in, nil); err != nil {
			return fmt.Errorf("read %s: %w", seg.path, err)
		}
	}
	return nil
}

func (d *deliverer) close() {
	if d.file.File != nil {
		_ = d.file.Close()
		d.file.File, d.in, d.seg = nil, nil, nil
	}
}

// handOver publishes the batch up to the first event that the broker does not
// take now; its error says why.
func (d *deliverer) handOver(batch []entry) error {
	ctx, cancel := context.WithTimeout(d.stopped, attemptWait)
	defer cancel()
	messages := make([]producer.Message, 0, len(batch))
	for _, e := range batch {
		if e.err == nil {
			messages = append(messages, e.message)
		}
	}
	acks := d.publisher.PublishMessages(ctx, messages)
	done, err := uint64(0), error(nil)
	for _, e := range batch {
		err = e.err
		if e.err == nil {
			err, acks = acks[0].Err, acks[1:]
		}
		if e.err != nil || errors.Is(err, producer.ErrTooLarge) {
			err = d.setAside(e, err)
		}
		if err != nil {
			break
		}
		done++
	}
	if done > 0 {
		d.advance(done)
	}
	return err
}

// setAside keeps an event that the broker will never take in a file of its own.
func (d *deliverer) setAside(e entry, reason error) error {
	file, err := os.OpenFile(filepath.Join(d.cfg.Dir, refusedFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	event := e.payload
	if e.err == nil {
		event = e.message.JSON()
	}
	_, err = file.Write(append(slices.Clip(event), '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	d.cfg.Log.Error("spool: an event is refused and kept aside", "file", refusedFile, "event_id", e.message.PK().String(), "error", reason)
	return nil
}

func (d *deliverer) advance(done uint64) {
	var left uint64
	var full bool
	d.update(func(st *state) {
		st.delivered += done
		left = st.next - st.delivered
		full = len(st.segments) > 1 && st.segments[0].end() <= st.delivered
	})
	if d.away != nil {
		d.cfg.Log.Info("spool: handing over again", "left", left)
		d.away = nil
	}
	d.save(full)
}

// save writes the place down, and has what is before it removed.
func (d *deliverer) save(remove bool) {
	d.mu.Lock()
	at := d.delivered
	d.mu.Unlock()
	if err := writePosition(d.cfg.Dir, at); err != nil {
		d.tell(err)
		return
	}
	if remove {
		select {
		case d.tidy <- struct{}{}:
		case <-d.stopped.Done():
		}
	}
}

// wait waits for events; when none come for a while, nothing of them is left on
// disk.
func (d *deliverer) wait() {
	d.mu.Lock()
	changed, empty, pending := d.changed, len(d.segments) == 0, d.next != d.delivered
	d.mu.Unlock()
	if pending {
		return
	}
	var quiet <-chan time.Time
	if !empty {
		timer := time.NewTimer(idle)
		defer timer.Stop()
		quiet = timer.C
	}
	select {
	case <-changed:
	case <-quiet:
		d.close()
		d.save(true)
	case <-d.stopped.Done():
	}
}

// tell says once what goes wrong.
func (d *deliverer) tell(err error) {
	if d.away == nil && d.stopped.Err() == nil {
		d.cfg.Log.Warn("spool: events wait on disk", "waiting", d.Pending(), "error", err)
	}
	d.away = err
}
