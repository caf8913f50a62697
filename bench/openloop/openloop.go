// Package openloop publishes events at a fixed rate, as a service would with the
// producer library, and notes when each was due and when it was acknowledged.
package openloop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/bench/events"
	"sluice/bench/latency"
	"sluice/producer"
	"sluice/schemas"
)

// Config says how fast and how long.
type Config struct {
	// Rate is in events per second, ProbeRate how many of these make an alert of
	// their own.
	Rate, ProbeRate float64
	For             time.Duration
}

// Sent is one event.
type Sent struct {
	PK string
	// Due is when it was to be sent, Acknowledged when the broker said that it is
	// stored.
	Due, Acknowledged time.Time
	Probe             bool
}

// Run publishes and returns what it has sent. Any event that is not stored is an
// error.
func Run(ctx context.Context, nc *nats.Conn, cfg Config) ([]Sent, error) {
	pool, err := events.NewPool(20_000, 0, 2, time.Now())
	if err != nil {
		return nil, err
	}
	p, err := producer.New(nc, producer.Config{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	encoder, err := producer.NewEncoder(schemas.DefaultTenant)
	if err != nil {
		return nil, err
	}
	sent := make([]Sent, int(cfg.Rate*cfg.For.Seconds()))
	every := len(sent) + 1
	if cfg.ProbeRate > 0 {
		every = max(int(cfg.Rate/cfg.ProbeRate), 1)
	}
	errs := make([]error, len(sent))
	var group sync.WaitGroup
	const lead = 100 * time.Millisecond
	err = latency.Schedule{Start: time.Now().Add(lead), Rate: cfg.Rate}.Run(ctx, len(sent), func(i int, due time.Time) {
		ev, probe := pool.Next(), i%every == every-1
		if probe {
			ev = events.Probe(i, due)
		}
		sent[i] = Sent{PK: ev.PK, Due: due, Probe: probe}
		msg, err := encoder.JSON(bytes.Clone(ev.JSON))
		if err != nil {
			errs[i] = err
			return
		}
		group.Go(func() {
			errs[i] = p.PublishMessage(ctx, msg).Err
			sent[i].Acknowledged = time.Now()
		})
	})
	group.Wait()
	for _, e := range errs {
		if e != nil {
			return nil, errors.Join(err, fmt.Errorf("an event was not stored: %w", e))
		}
	}
	return sent, err
}

// Write writes what was sent, a line each.
func Write(to io.Writer, sent []Sent) error {
	w := bufio.NewWriter(to)
	for i := range sent {
		s := &sent[i]
		fmt.Fprintf(w, "%s %d %d %t\n", s.PK, s.Due.UnixNano(), s.Acknowledged.UnixNano(), s.Probe)
	}
	return w.Flush()
}

// Read reads what Write has written.
func Read(from io.Reader) ([]Sent, error) {
	var sent []Sent
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 4 {
			return nil, fmt.Errorf("line %d has %d fields", len(sent)+1, len(fields))
		}
		due, err1 := strconv.ParseInt(fields[1], 10, 64)
		acknowledged, err2 := strconv.ParseInt(fields[2], 10, 64)
		probe, err3 := strconv.ParseBool(fields[3])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(sent)+1, err)
		}
		sent = append(sent, Sent{PK: fields[0], Due: time.Unix(0, due), Acknowledged: time.Unix(0, acknowledged), Probe: probe})
	}
	return sent, lines.Err()
}
