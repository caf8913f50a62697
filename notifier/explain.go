package notifier

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/notifier/rules"
	"sluice/schemas"
)

// Explain writes what the notifier makes of an event under the rules: which of
// them it meets and which not, in which group, for whom, and how that looks. It
// talks to nobody.
func Explain(w io.Writer, set *rules.Set, tenant string, data []byte) error {
	var (
		decoder schemas.Decoder
		event   schemas.Event
	)
	if err := decoder.Decode(data, &event); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	if event.Action == "" {
		return errors.New("read event: it has no action")
	}
	clean, err := newCleaner()
	if err != nil {
		return err
	}
	rows := [][2]string{{"tenant", tenant}, {"action", event.Action}}
	var passed, broken [][2]string
	r := reader{
		rules: set, clean: clean,
		passed: func(p rules.Passed) { passed = append(passed, [2]string{"no match", p.Rule + ": " + p.Because}) },
		broken: func(rule string) {
			broken = append(broken, [2]string{"broken", rule + ": cannot be applied to this event"})
		},
	}
	o, err := r.read(incoming{subject: schemas.CleanSubject(tenant, event.Action), data: data, storedAt: time.Now()})
	rows = append(append(rows, passed...), broken...)
	switch {
	case err == nil:
		rows = append(rows, o.explain(set)...)
	case errors.Is(err, errNoRule), errors.Is(err, errOwn):
		rows = append(rows, [2]string{"rule", "none: " + err.Error()})
	default:
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		// A text may hold what a terminal would obey.
		fmt.Fprintf(tw, "%s:\t%s\n", row[0], Printable(row[1]))
	}
	return tw.Flush()
}

// explain are the rows that show an observation.
func (o *observation) explain(set *rules.Set) [][2]string {
	receivers := "none: the ALERTS stream alone"
	if len(o.receivers) > 0 {
		receivers = strings.Join(o.receivers, ", ")
	}
	rows := [][2]string{
		{"rule", o.rule},
		{"why", o.why},
		{"severity", string(o.severity)},
		{"receivers", receivers},
	}
	if o.quiet != "" {
		quiet := o.quiet + ": told at once now"
		if until := set.HeldUntil(o.quiet, o.severity, time.Now()); !until.IsZero() {
			quiet = o.quiet + ": now held until " + until.Format(time.RFC3339)
		}
		rows = append(rows, [2]string{"quiet hours", quiet})
	}
	return append(rows, [][2]string{
		{"fingerprint", o.fingerprint.text},
		{"made of", o.fingerprint.basis},
		{"group", o.key},
		{"subject", schemas.AlertSubject(o.tenant, o.severity, o.action)},
		{"title", o.title},
		{"message", o.message},
		{"silence", silenceCommand(o.tenant, o.fingerprint.text)},
	}...)
}
