package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/notifier"
	"sluice/notifier/outbox"
)

// test sends a sample alert to one receiver.
func test(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return daemon.Usage("test: want the name of one receiver")
	}
	var cfg notifier.Config
	if err := daemon.Load("NOTIFIER", &cfg); err != nil {
		return err
	}
	return notifier.Test(ctx, cfg, args[0], stdout, cfg.Logger(os.Stderr))
}

// tendOutbox lists and replays what receivers have not taken.
func tendOutbox(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return daemon.Usage("outbox: want list or replay")
	}
	command, args := args[0], args[1:]
	asJSON := false
	flags := flag.NewFlagSet("outbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if command == "list" {
		flags.BoolVar(&asJSON, "json", false, "")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return help().Print(stdout, new(notifier.Config))
	} else if err != nil {
		return daemon.Usage("outbox %s: %w", command, err)
	}
	args = flags.Args()
	var only []uint64
	switch command {
	case "list":
		if len(args) > 1 {
			return daemon.Usage("outbox list: want one receiver at most")
		}
	case "replay":
		if len(args) == 0 {
			return daemon.Usage("outbox replay: want the name of a receiver")
		}
		for _, arg := range args[1:] {
			seq, err := strconv.ParseUint(arg, 10, 64)
			if err != nil || seq == 0 {
				return daemon.Usage("outbox replay: %q: want a number, as outbox list shows it", arg)
			}
			only = append(only, seq)
		}
	default:
		return daemon.Usage("outbox: unknown command %q", command)
	}
	var cfg notifier.Config
	if err := daemon.Load("NOTIFIER", &cfg); err != nil {
		return err
	}
	conn, err := broker.Connect(ctx, cfg.NATS, "notifier-outbox-"+command, cfg.Logger(os.Stderr))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	store, err := outbox.Open(ctx, conn)
	if err != nil {
		return err
	}
	if command == "replay" {
		return replay(ctx, store, args[0], only, stdout)
	}
	receiver := "*"
	if len(args) > 0 {
		receiver = args[0]
	}
	return list(ctx, store, receiver, asJSON, stdout)
}

func replay(ctx context.Context, store *outbox.Store, receiver string, only []uint64, stdout io.Writer) error {
	replayed, enabled, err := store.Replay(ctx, receiver, only...)
	if replayed > 0 || err == nil {
		fmt.Fprintf(stdout, "receiver %s: %d to be delivered again", receiver, replayed)
		if enabled {
			fmt.Fprint(stdout, ", enabled")
		}
		fmt.Fprintln(stdout)
	}
	return err
}

func list(ctx context.Context, store *outbox.Store, receiver string, asJSON bool, stdout io.Writer) error {
	receivers, err := store.Receivers(ctx)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(stdout)
	tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(orDiscard(tw, !asJSON), "RECEIVER\tWAITING\tKEPT\tSTATE")
	for _, r := range receivers {
		if receiver != "*" && receiver != r.Receiver {
			continue
		}
		if asJSON {
			if err := enc.Encode(r); err != nil {
				return err
			}
			continue
		}
		state := "enabled"
		if r.Disabled != "" {
			state = "disabled since " + r.DisabledAt.Format(time.RFC3339) + ": " + r.Disabled
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\n", r.Receiver, r.Waiting, r.Kept, state)
	}
	entries := 0
	err = store.Each(ctx, receiver, func(e outbox.Entry, _ jetstream.Msg) error {
		if asJSON {
			return enc.Encode(e)
		}
		if entries++; entries == 1 {
			fmt.Fprintln(tw, "\nSEQ\tRECEIVER\tKEPT SINCE\tATTEMPTS\tWHY\tALERT")
		}
		fmt.Fprintf(tw, "%d\t%s\t%s\t%d\t%s\t%s\n", e.Sequence, e.Receiver, e.KeptAt.Format(time.RFC3339), e.Attempts,
			notifier.Printable(e.Why), notifier.Printable(e.Title))
		return nil
	})
	if err != nil || asJSON {
		return err
	}
	return tw.Flush()
}

func orDiscard(w io.Writer, wanted bool) io.Writer {
	if wanted {
		return w
	}
	return io.Discard
}
