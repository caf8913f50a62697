package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/notifier"
	"sluice/notifier/rules"
)

// silence adds, lists and removes silences, in the store itself: no notifier need
// run. Who may not write to the store asks a notifier.
func silence(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return daemon.Usage("silence: want add, list or remove")
	}
	switch args[0] {
	case "add":
		return silenceAdd(ctx, args[1:], stdout)
	case "list":
		return silenceList(ctx, args[1:], stdout)
	case "remove":
		return silenceRemove(ctx, args[1:], stdout)
	}
	return daemon.Usage("silence %q: want add, list or remove", args[0])
}

// commandWait is how long a command waits for the broker's answers.
const commandWait = 30 * time.Second

// connected calls do with a connection, and closes it.
func connected(ctx context.Context, do func(context.Context, *broker.Conn) error) error {
	var cfg notifier.Config
	if err := daemon.Load("NOTIFIER", &cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	conn, err := broker.Connect(ctx, cfg.NATS, "notifier-command", cfg.Logger(os.Stderr))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	return do(ctx, conn)
}

// silencer is the store of silences, or a notifier.
type silencer interface {
	Add(ctx context.Context, silence notifier.Silence, lasting time.Duration) (notifier.Silence, error)
	List(ctx context.Context) ([]notifier.Silence, error)
	Remove(ctx context.Context, id string) error
}

func withSilences(ctx context.Context, do func(context.Context, silencer) error) error {
	return connected(ctx, func(ctx context.Context, conn *broker.Conn) error {
		silences, err := notifier.OpenSilences(ctx, conn)
		switch {
		case errors.Is(err, broker.ErrDenied):
			return do(ctx, notifier.NewRemote(conn.NC))
		case err != nil:
			return err
		}
		return do(ctx, silences)
	})
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func silenceAdd(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("silence add")
	lasting := flags.Duration("for", 4*time.Hour, "")
	author := flags.String("author", os.Getenv("USER"), "")
	comment := flags.String("comment", "", "")
	if err := flags.Parse(args); err != nil {
		return daemon.Usage("silence add: %w", err)
	}
	matchers, err := notifier.ParseMatchers(flags.Args())
	if err != nil {
		return daemon.Usage("silence add: %w", err)
	}
	wanted := notifier.Silence{Matchers: matchers, Author: *author, Comment: *comment, CreatedAt: time.Now()}
	wanted.Until = wanted.CreatedAt.Add(*lasting)
	if err := wanted.Validate(); err != nil {
		return daemon.Usage("silence add: %w", err)
	}
	return withSilences(ctx, func(ctx context.Context, silences silencer) error {
		added, err := silences.Add(ctx, wanted, *lasting)
		if err != nil {
			return err
		}
		until := added.Until.Format(time.RFC3339)
		fmt.Fprintf(stdout, "%s: silent until %s; notifier silence remove %s ends it\n", added.ID, until, added.ID)
		return nil
	})
}

func silenceList(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("silence list")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return daemon.Usage("silence list: takes -json and nothing else")
	}
	return withSilences(ctx, func(ctx context.Context, silences silencer) error {
		all, err := silences.List(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			enc := json.NewEncoder(stdout)
			for _, s := range all {
				if err := enc.Encode(s); err != nil {
					return fmt.Errorf("print silence: %w", err)
				}
			}
			return nil
		}
		tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "ID\tUNTIL\tMATCHES\tAUTHOR\tCOMMENT")
		for _, s := range all {
			var matchers []string
			for name, value := range s.Matchers {
				matchers = append(matchers, name+"="+value)
			}
			slices.Sort(matchers)
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Until.Format(time.RFC3339), strings.Join(matchers, " "), s.Author, s.Comment)
		}
		return tw.Flush()
	})
}

func silenceRemove(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return daemon.Usage("silence remove: want the ids that silence list shows")
	}
	return withSilences(ctx, func(ctx context.Context, silences silencer) error {
		var errs []error
		for _, id := range args {
			err := silences.Remove(ctx, id)
			if err == nil {
				fmt.Fprintf(stdout, "%s: removed\n", id)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func acknowledge(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("acknowledge")
	by := flags.String("by", os.Getenv("USER"), "")
	comment := flags.String("comment", "", "")
	if err := flags.Parse(args); err != nil {
		return daemon.Usage("acknowledge: %w", err)
	}
	if flags.NArg() != 1 {
		return daemon.Usage("acknowledge: want one group, as an alert's data.group has it")
	}
	return connected(ctx, func(ctx context.Context, conn *broker.Conn) error {
		groups, err := notifier.OpenGroups(ctx, conn)
		switch {
		case errors.Is(err, broker.ErrDenied):
			err = notifier.NewRemote(conn.NC).Acknowledge(ctx, flags.Arg(0), *by, *comment)
		case err == nil:
			err = notifier.Acknowledge(ctx, groups, flags.Arg(0), *by, *comment)
		default:
			return err
		}
		if err != nil {
			return fmt.Errorf("acknowledge %s: %w", flags.Arg(0), err)
		}
		fmt.Fprintf(stdout, "%s: acknowledged; its end will be told\n", flags.Arg(0))
		return nil
	})
}

// checkRules tells about a file of rules.
func checkRules(args []string, stdout io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "schema":
		schema, err := notifier.ConfigSchema()
		if err != nil {
			return err
		}
		_, err = stdout.Write(schema)
		return err
	case len(args) != 2 || args[0] != "check":
		return daemon.Usage("rules takes check FILE, or schema")
	}
	set, err := rules.Load(args[1])
	if err != nil {
		return err
	}
	if _, err := notifier.Receivers(args[1], set); err != nil {
		return err
	}
	actions := "every action"
	if named := set.Actions(); named != nil {
		actions = "the actions " + strings.Join(named, ", ")
	}
	fmt.Fprintf(stdout, "%s: %d rules with the built-in ones, %d receivers, about %s\n", args[1], len(set.Rules), len(set.Names), actions)
	return nil
}
