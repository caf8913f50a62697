package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"sluice/internal/daemon"
	"sluice/producer"
	"sluice/producer/generate"
	"sluice/producer/intake"
)

var generateHelp = daemon.Help{
	Name: "producer generate [-n N] [-rate R] [-seed S] [-start TIME] [-secret-rate R] [-secrets FILE] [-publish]",
	Summary: `Writes synthetic audit events to stdout, one JSON object per line: the life of one
organisation in all 24 actions of authentik, with made-up passwords, tokens and
other secrets planted in some of them. The same seed and start give the same bytes.

  producer generate -n 1000 | producer publish

With -publish it publishes them itself, where there is no shell for a pipe. The
settings are for that.`,
	Commands: [][2]string{
		{"-n N", "how many events (default 1000); 0 goes on until interrupted"},
		{"-rate R", "events per second, evenly (default 0: as fast as they are read); may be less than 1"},
		{"-seed S", "which organisation and what happens in it (default 1)"},
		{"-start TIME", "time before the first event, RFC 3339 (default " + generate.DefaultStart().Format(time.RFC3339) +
			"), or now; events older than the retention are not kept"},
		{"-secret-rate R", "share of the events that carry a secret, 0 to 1 (default 0.05)"},
		{"-secrets FILE", "list the secrets there, a JSON object per line: pk, action, pointer, carrier, value, and encoded, as it stands in the bytes"},
		{"-publish", "publish them, and end like producer publish"},
	},
}

func generateEvents(ctx context.Context, args []string) error {
	if daemon.AskedForHelp(args) {
		return generateHelp.Print(os.Stdout, new(PublishSettings))
	}
	var cfg generate.Config
	flags := flag.NewFlagSet("producer generate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	n := flags.Int("n", 1000, "")
	rate := flags.Float64("rate", 0, "")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "")
	flags.Func("start", "", func(value string) (err error) {
		cfg.Start, err = startOf(value)
		return err
	})
	flags.Float64Var(&cfg.SecretRate, "secret-rate", generate.DefaultSecretRate, "")
	secretsFile := flags.String("secrets", "", "")
	toBroker := flags.Bool("publish", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return generateHelp.Print(os.Stdout, new(PublishSettings))
	case err != nil:
		return daemon.Usage("generate: %w", err)
	case flags.NArg() > 0:
		return daemon.Usage("generate: %q: it takes no files", flags.Arg(0))
	case *n < 0:
		return daemon.Usage("generate: -n %d: want 0 or more", *n)
	case !(*rate >= 0 && *rate <= maxRate):
		return daemon.Usage("generate: -rate %v: want 0 to %.0f events per second", *rate, float64(maxRate))
	case !(cfg.SecretRate >= 0 && cfg.SecretRate <= 1):
		return daemon.Usage("generate: -secret-rate %v: want 0 to 1", cfg.SecretRate)
	}
	if cfg.SecretRate == 0 {
		cfg.SecretRate = -1 // none: for the generator 0 is its default
	}
	secrets, err := newSecretList(*secretsFile)
	if err != nil {
		return err
	}
	events := generate.New(cfg)
	if *toBroker {
		err := publishGenerated(ctx, func(w io.Writer) error {
			_, err := writeEvents(ctx, w, events, secrets.add, *n, *rate)
			return err
		})
		return errors.Join(err, secrets.close())
	}
	// Whoever reads may have enough: that is a write error then, not a signal
	// that ends the process.
	signal.Ignore(syscall.SIGPIPE)
	written, err := writeEvents(ctx, os.Stdout, events, secrets.add, *n, *rate)
	if e := secrets.close(); e != nil && (err == nil || errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("write the list of secrets: %w", e)
	}
	switch {
	case errors.Is(err, syscall.EPIPE):
		return nil
	case err != nil:
		return fmt.Errorf("write events: %w", err)
	case written < *n:
		return fmt.Errorf("interrupted after %d of %d events", written, *n)
	}
	return nil
}

// startOf reads -start.
func startOf(value string) (time.Time, error) {
	if value == "now" {
		return time.Now(), nil
	}
	return time.Parse(time.RFC3339, value)
}

// publishGenerated publishes what generate writes, as producer publish does with
// what it reads. The one end of the pipe that fails first ends the other.
func publishGenerated(ctx context.Context, generate func(io.Writer) error) error {
	var settings PublishSettings
	if err := daemon.Load("PRODUCER", &settings); err != nil {
		return err
	}
	encoder, err := producer.NewEncoder(settings.Tenant)
	if err != nil {
		return daemon.Usage("PRODUCER_TENANT: %w", err)
	}
	encoder.NewPK = intake.NewIdentity(settings.Tenant).PK
	r, w := io.Pipe()
	var writer sync.WaitGroup
	defer func() {
		_ = r.Close() // ends a generator that still writes
		writer.Wait()
	}()
	input := intake.Input{Name: "generated", Open: func() (io.ReadCloser, error) {
		writer.Go(func() { w.CloseWithError(generate(w)) })
		return r, nil
	}}
	return publishInputs(ctx, &settings, encoder, []intake.Input{input}, 0)
}

const (
	// maxRate is beyond what the generator can do.
	maxRate = 1e9
	// pace is how often events are written when there is a rate: seldom enough to
	// cost nothing, often enough to look even.
	pace = 10 * time.Millisecond
	// askEvery is after how many events without a rate ctx is looked at.
	askEvery = 256
)

// writeEvents writes n events, without end if n is 0, tells each before, and returns
// how many it wrote. It ends early, without an error, when ctx does. With a rate it never
// drifts: after a pause of the reader it catches up.
func writeEvents(ctx context.Context, w io.Writer, g *generate.Generator, note func(*generate.Event),
	n int, rate float64,
) (written int, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	started := time.Now()
	for n == 0 || written < n {
		due := written + askEvery
		if rate > 0 {
			due = eventsDue(time.Since(started), rate)
		}
		for ; written < due && (n == 0 || written < n); written++ {
			ev := g.Next()
			note(&ev)
			_, _ = out.Write(ev.JSON) // an error stays with the writer
			if err := out.WriteByte('\n'); err != nil {
				return written, err
			}
		}
		if rate == 0 {
			if ctx.Err() != nil {
				break
			}
			continue
		}
		if err := out.Flush(); err != nil {
			return written, err
		}
		if n > 0 && written == n {
			break
		}
		next := time.Duration(float64(written) / rate * float64(time.Second))
		timer := time.NewTimer(max(pace, next-time.Since(started)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return written, nil
		}
	}
	return written, out.Flush()
}

// eventsDue is how many events there are after that time: the first at once.
func eventsDue(elapsed time.Duration, rate float64) int {
	return int(elapsed.Seconds()*rate) + 1
}
