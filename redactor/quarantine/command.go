package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"sluice/internal/daemon"
	"sluice/schemas"
)

// Command is `list`, `show`, `replay` or `drop` with its arguments.
type Command struct {
	name      string
	json, yes bool
	all       bool
	selected  Selection
	sequences []uint64
}

// Parse reads the arguments behind `quarantine`. Its error is one of usage.
func Parse(args []string) (*Command, error) {
	if len(args) == 0 {
		return nil, daemon.Usage("quarantine: say list, show, replay or drop")
	}
	c := &Command{name: args[0]}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	reason := ""
	switch c.name {
	case "list":
		flags.BoolVar(&c.json, "json", false, "")
	case "show":
	case "drop":
		flags.BoolVar(&c.yes, "yes", false, "")
		fallthrough
	case "replay":
		flags.BoolVar(&c.all, "all", false, "")
	default:
		return nil, daemon.Usage("quarantine: %q is none of list, show, replay and drop", c.name)
	}
	if c.name != "show" {
		flags.StringVar(&reason, "reason", "", "")
		flags.StringVar(&c.selected.Tenant, "tenant", "", "")
	}
	rest, err := interspersed(flags, args[1:])
	if err != nil {
		return nil, daemon.Usage("quarantine %s: %w", c.name, err)
	}
	if c.selected.Reason = schemas.Reason(reason); reason != "" && !slices.Contains(schemas.Reasons(), c.selected.Reason) {
		return nil, daemon.Usage("quarantine %s: -reason is none of %v", c.name, schemas.Reasons())
	}
	if tenant := c.selected.Tenant; tenant != "" {
		if err := schemas.CheckTenant(tenant); err != nil {
			return nil, daemon.Usage("quarantine %s: -tenant: %w", c.name, err)
		}
	}
	if err := c.numbers(rest); err != nil {
		return nil, err
	}
	return c, nil
}

// interspersed parses flags that stand before, between or behind the arguments.
func interspersed(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}

func (c *Command) numbers(args []string) error {
	for _, arg := range args {
		seq, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || seq == 0 {
			return daemon.Usage("quarantine %s: %q is not the number of an event", c.name, arg)
		}
		c.sequences = append(c.sequences, seq)
	}
	chosen := c.selected != Selection{}
	switch {
	case c.name == "list" && len(args) > 0:
		return daemon.Usage("quarantine list: takes no number; show takes one")
	case c.name == "list":
		return nil
	case c.all && len(args) > 0, !c.all && len(args) == 0:
		return daemon.Usage("quarantine %s: name events by their numbers, as list shows them%s", c.name, map[bool]string{true: ", or -all"}[c.name != "show"])
	case !c.all && chosen:
		return daemon.Usage("quarantine %s: -reason and -tenant go with -all", c.name)
	case c.name == "drop" && !c.yes:
		return daemon.Usage("quarantine drop: this cannot be undone; say -yes")
	}
	return nil
}

// Run carries the command out and writes what a person or a program wants to
// know to w. An event that fails does not stop the others.
func (c *Command) Run(ctx context.Context, s *Store, w io.Writer) error {
	switch c.name {
	case "list":
		return c.list(ctx, s, w)
	case "show":
		return c.each(ctx, s, func(seq uint64) error { return s.Show(ctx, seq, w) })
	case "replay":
		return c.summed(ctx, s, w, "replayed", s.Replay)
	default:
		return c.summed(ctx, s, w, "dropped", s.Drop)
	}
}

func (c *Command) list(ctx context.Context, s *Store, w io.Writer) error {
	if c.json {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return s.Each(ctx, c.selected, func(e Entry) error { return encoder.Encode(e) })
	}
	table, n := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), 0
	err := s.Each(ctx, c.selected, func(e Entry) error {
		if n == 0 {
			fmt.Fprintln(table, "SEQ\tSTORED AT\tTENANT\tREASON\tBYTES\tSUBJECT\tDETAIL")
		}
		n++
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%q\t%s\n", e.Sequence, e.StoredAt.UTC().Format("2006-01-02 15:04:05.000"),
			e.Tenant, e.Reason, e.Bytes, e.Subject, e.Detail)
		if n%fetchAtOnce == 0 { // no more than that in memory
			return table.Flush()
		}
		return nil
	})
	if n == 0 && err == nil {
		fmt.Fprintln(table, "nothing is quarantined")
	}
	return errors.Join(err, table.Flush())
}

// each calls f for the events that are meant.
func (c *Command) each(ctx context.Context, s *Store, f func(seq uint64) error) error {
	var errs []error
	do := func(seq uint64) error {
		if err := f(seq); err != nil {
			errs = append(errs, err)
		}
		if len(errs) >= maxErrors {
			return errors.New("and so on; stopped here")
		}
		return ctx.Err()
	}
	if c.all {
		err := s.Each(ctx, c.selected, func(e Entry) error { return do(e.Sequence) })
		return errors.Join(append(errs, err)...)
	}
	for _, seq := range c.sequences {
		if err := do(seq); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// maxErrors is after how many failures the rest is not tried: the broker is away
// or full.
const maxErrors = 5

func (c *Command) summed(ctx context.Context, s *Store, w io.Writer, done string, f func(context.Context, uint64) error) error {
	n := 0
	err := c.each(ctx, s, func(seq uint64) error {
		if err := f(ctx, seq); err != nil {
			return err
		}
		n++
		return nil
	})
	_, failed := fmt.Fprintf(w, "%s %d\n", done, n)
	return errors.Join(err, failed)
}
