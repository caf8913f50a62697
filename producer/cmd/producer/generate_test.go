package main

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sluice/producer/generate"
	"sluice/producer/internal/brokertest"
)

func noted(*generate.Event) {}

// arrivals notes when how many lines had been written.
type arrivals struct {
	started time.Time
	at      []time.Duration // of each line
}

func (a *arrivals) Write(p []byte) (int, error) {
	for range bytes.Count(p, []byte("\n")) {
		a.at = append(a.at, time.Since(a.started))
	}
	return len(p), nil
}

func TestWriteEventsKeepsTheRate(t *testing.T) {
	for _, tc := range []struct {
		n    int
		rate float64
	}{{5, 0.5}, {100, 7}, {3000, 1000}, {50_000, 30_000}} {
		synctest.Test(t, func(t *testing.T) {
			got := &arrivals{started: time.Now()}
			written, err := writeEvents(t.Context(), got, generate.New(generate.Config{}), noted, tc.n, tc.rate)
			if err != nil || written != tc.n || len(got.at) != tc.n {
				t.Fatalf("%d written, %d arrived, %v, want %d", written, len(got.at), err, tc.n)
			}
			for i, at := range got.at {
				due := time.Duration(float64(i) / tc.rate * float64(time.Second))
				if late := at - due; late < -time.Microsecond || late > 2*pace {
					t.Fatalf("at %v/s: event %d came at %s, due at %s", tc.rate, i, at, due)
				}
			}
		})
	}
}

func TestWriteEventsCatchesUpWithASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		slow := writerFunc(func(p []byte) (int, error) {
			if time.Since(started) < time.Second { // the reader is busy once
				time.Sleep(2 * time.Second)
			}
			return len(p), nil
		})
		if _, err := writeEvents(t.Context(), slow, generate.New(generate.Config{}), noted, 1000, 100); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took > 10*time.Second+2*pace {
			t.Errorf("1000 events at 100/s took %s", took)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWriteEventsEndsWithItsContext(t *testing.T) {
	for _, rate := range []float64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var lines int
			out := writerFunc(func(p []byte) (int, error) {
				if lines += bytes.Count(p, []byte("\n")); lines >= 50 {
					cancel()
				}
				return len(p), nil
			})
			written, err := writeEvents(ctx, out, generate.New(generate.Config{}), noted, 0, rate)
			if err != nil || written < 50 || written != lines {
				t.Errorf("rate %v: %d written, %d arrived, %v", rate, written, lines, err)
			}
		})
	}
}

// A container of the producer has no shell for the pipe.
func TestGeneratePublishes(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	args := []string{"generate", "-n", "60", "-rate", "1000", "-start", "now", "-publish"}
	got := runCommand(t, command(t, b, args...), "")
	if want := "published 60, duplicate 0, refused 0\n"; got.code != 0 || got.stdout != want {
		t.Errorf("exit %d, got %q, want %q\n%s", got.code, got.stdout, want, got.stderr)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 60 {
		t.Errorf("the stream: %v, %v", info, err)
	}
	if got := runCommand(t, command(t, nil, append(args, "-start", "tomorrow")...), ""); got.code != 2 {
		t.Errorf("-start tomorrow: exit %d %s", got.code, got.stderr)
	}
	// Nobody reads the generator any more when the broker cannot be reached.
	if got := runCommand(t, command(t, &brokertest.Broker{URL: "nats://127.0.0.1:1"}, "generate", "-n", "0", "-publish"), ""); got.code != 1 {
		t.Errorf("without a broker: exit %d %s", got.code, got.stderr)
	}
}
