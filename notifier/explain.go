package notifier

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"sluice/schemas"
)

// Explain writes what the notifier makes of an event: by which rule it becomes an
// alert, in which group, and how that looks. It talks to nobody.
func Explain(w io.Writer, tenant string, data []byte) error {
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
	rows := [][2]string{{"tenant", tenant}, {"action", event.Action}}
	r := reader{rules: defaultRules()}
	o, err := r.read(incoming{subject: schemas.CleanSubject(tenant, event.Action), data: data, storedAt: time.Now()})
	switch {
	case err == nil:
		rows = append(rows, [][2]string{
			{"rule", o.rule.name},
			{"severity", string(o.rule.severity)},
			{"fingerprint", o.fingerprint.text},
			{"made of", o.fingerprint.basis},
			{"group", o.key},
			{"subject", schemas.AlertSubject(o.tenant, o.rule.severity, o.action)},
			{"title", o.title},
		}...)
	case errors.Is(err, errNoRule), errors.Is(err, errOwn):
		rows = append(rows, [2]string{"rule", "none: " + err.Error()})
	default:
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(tw, "%s:\t%s\n", row[0], row[1])
	}
	return tw.Flush()
}
