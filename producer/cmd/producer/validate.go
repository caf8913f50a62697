package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"sluice/internal/conform"
	"sluice/internal/daemon"
	"sluice/producer/intake"
	"sluice/schemas"
)

var validateHelp = daemon.Help{
	Name: "producer validate [-action A] [FILE...]",
	Summary: `Compares events, one JSON object per line, from files or from stdin ("-"), with the
contract and with the schemas of their actions' contexts, and ends with the line
"valid N, departing N, refused N" on stdout.

Before it there is a line "FILE:LINE: PATH: REASON" for each place at which an event
departs, with a JSON Pointer and never what stands there. An event that breaks the
contract would be quarantined; behind its REASON stands (refused). One that only
departs from its schema is stored all the same. The exit code is 0 if all are valid.`,
	Commands: [][2]string{
		{"-action A", "the action of events that have none"},
		{"FILE...", "files to read in this order; - is stdin, and so is no file at all"},
	},
}

func validate(ctx context.Context, args []string) error {
	if daemon.AskedForHelp(args) {
		return validateHelp.Print(os.Stdout)
	}
	flags := flag.NewFlagSet("producer validate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	action := flags.String("action", "", "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return validateHelp.Print(os.Stdout)
	case err != nil:
		return daemon.Usage("validate: %w", err)
	case *action != "" && !schemas.ValidAction(*action):
		return daemon.Usage("-action %q: want small letters, digits and _, beginning with a letter, at most 64", *action)
	}
	inputs, _, err := openable(flags.Args())
	if err != nil {
		return err
	}
	checker, err := conform.New()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	v := validation{checker: checker, action: *action, out: out}
	for _, input := range inputs {
		if err = v.input(ctx, input); err != nil {
			break
		}
	}
	fmt.Fprintf(out, "valid %d, departing %d, refused %d\n", v.valid, v.departing, v.refused)
	if e := out.Flush(); err == nil {
		err = e
	}
	if err == nil && v.departing+v.refused > 0 {
		return refusedError{}
	}
	return err
}

// validation counts what events turn out to be.
type validation struct {
	checker                   *conform.Checker
	action                    string
	out                       io.Writer
	valid, departing, refused int
}

func (v *validation) input(ctx context.Context, input intake.Input) error {
	in, err := input.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	err = intake.Lines(in, schemas.MaxPayloadBytes, func(number int, line []byte, tooLong bool) error {
		var found []conform.Departure
		if tooLong {
			found = []conform.Departure{{Reason: string(schemas.ReasonTooLarge), Refused: true}}
		} else {
			found = v.checker.Check(line, v.action)
		}
		v.event(input.Name, number, found)
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read %s: %w", input.Name, err)
	}
	return err
}

func (v *validation) event(name string, number int, found []conform.Departure) {
	refused := false
	for _, d := range found {
		path, note := d.Path, ""
		if path == "" {
			path = "/"
		}
		if d.Refused {
			refused, note = true, " (refused)"
		}
		fmt.Fprintf(v.out, "%s:%d: %s: %s%s\n", name, number, path, d.Reason, note)
	}
	switch {
	case refused:
		v.refused++
	case len(found) > 0:
		v.departing++
	default:
		v.valid++
	}
}
