package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/internal/broker"
	"sluice/schemas"
)

// Erasure says whose events to erase.
type Erasure struct {
	// User is the person's key, user name or e-mail address, letter for letter.
	User string
	// Tenant is whose events are looked through, "" for all tenants.
	Tenant string
	// DryRun counts, and erases nothing.
	DryRun bool
}

// Erase removes one person's events for good: from the stream EVENTS_CLEAN, which
// could be replayed, and from the table, down to ClickHouse's files. When it returns
// nil it has looked that none are left. It writes to out how many there are, and
// nothing of what they say.
//
// It may be interrupted and repeated: it goes by what is there. Events that come in
// later are not erased.
//
// The stream goes first, so that no sink stores again what the table has lost. With the
// broker out of reach the rows are erased all the same, and it is an error that copies
// may remain.
func Erase(ctx context.Context, cfg Config, e Erasure, out, progress io.Writer) error {
	table, err := openStored(ctx, cfg.ClickHouse)
	if err != nil {
		return err
	}
	defer table.close()
	found, err := table.countOf(ctx, e)
	if err != nil {
		return fmt.Errorf("count the events: %w", err)
	}
	found.write(out)
	if e.DryRun {
		if err := table.writeMentions(ctx, e, out); err != nil {
			return err
		}
	}
	remain := eraseReplayable(ctx, cfg, e, out, progress)
	if ctx.Err() != nil {
		return errors.New("interrupted before the table was touched: run the command again")
	}
	if errors.Is(remain, errBehind) {
		return remain
	}
	if remain != nil {
		remain = fmt.Errorf("%w; copies may remain there until %s: run the command again with the broker in reach",
			remain, found.replayableUntil().UTC().Format("2006-01-02 15:04 UTC"))
	}
	if e.DryRun {
		fmt.Fprintln(out, "Dry run: nothing was erased.")
		return remain
	}
	if err := table.erase(ctx, e, out, progress); err != nil {
		return errors.Join(err, remain)
	}
	return remain
}

// eraseReplayable erases from the stream.
func eraseReplayable(ctx context.Context, cfg Config, e Erasure, out, progress io.Writer) error {
	conn, err := broker.Connect(ctx, cfg.NATS, name, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("the events in %s were not looked at: %w", schemas.StreamClean, err)
	}
	defer conn.Close() //nolint:contextcheck // nothing is buffered
	n, err := replayable{conn: conn, erasure: e, patience: behindWait, orphans: insertTimeout, progress: progress}.erase(ctx)
	switch {
	case errors.Is(err, errBehind):
		return err
	case err != nil:
		return fmt.Errorf("erase events from %s, after %d: %w", schemas.StreamClean, n, err)
	case e.DryRun:
		fmt.Fprintf(out, "%d events of the stream %s.\n", n, schemas.StreamClean)
	default:
		fmt.Fprintf(out, "Erased %d events from the stream %s.\n", n, schemas.StreamClean)
	}
	return nil
}

// eraseCount is how many of the person's events the table has.
type eraseCount struct {
	rows   [][]string
	events uint64
	// newest is when the last of them was stored; zero if there is none.
	newest time.Time
}

func (t *storedEvents) countOf(ctx context.Context, e Erasure) (eraseCount, error) {
	c := eraseCount{rows: [][]string{append([]string{"tenant", "action", "events"}, matchedBy...)}}
	err := t.each(ctx, fmt.Sprintf("SELECT toString(tenant) AS t, toString(action) AS a, count(), max(stored_at), [countIf(%s)] FROM %s WHERE %s GROUP BY t, a ORDER BY t, a",
		strings.Join(e.by(), "), countIf("), eventsTable, e.where()), func(rows driver.Rows) error {
		var tenant, action string
		var events uint64
		var newest time.Time
		var by []uint64
		if err := rows.Scan(&tenant, &action, &events, &newest, &by); err != nil {
			return err
		}
		line := []string{tenant, action, number(events)}
		for _, n := range by {
			line = append(line, number(n))
		}
		c.rows = append(c.rows, line)
		c.events += events
		if newest.After(c.newest) {
			c.newest = newest
		}
		return nil
	})
	return c, err
}

func (c eraseCount) write(w io.Writer) {
	if c.events > 0 {
		writeColumns(w, c.rows)
	}
	fmt.Fprintf(w, "%d events of the table %s.\n", c.events, eventsTable)
}

// writeMentions says which rows have the text elsewhere, so that nobody takes them for
// erased.
func (t *storedEvents) writeMentions(ctx context.Context, e Erasure, w io.Writer) error {
	rows, total := [][]string{{"tenant", "action", "events"}}, uint64(0)
	err := t.each(ctx, fmt.Sprintf("SELECT toString(tenant) AS t, toString(action) AS a, count() FROM %s WHERE %s GROUP BY t, a ORDER BY t, a",
		eventsTable, e.mentions()), func(answer driver.Rows) error {
		var tenant, action string
		var events uint64
		if err := answer.Scan(&tenant, &action, &events); err != nil {
			return err
		}
		rows, total = append(rows, []string{tenant, action, number(events)}), total+events
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the events that mention the user: %w", err)
	}
	fmt.Fprintf(w, "%d other events of the table mention this user, and would stay.\n", total)
	if total > 0 {
		writeColumns(w, rows)
	}
	return nil
}

// replayableUntil is when the last copy in the stream is past its time.
func (c eraseCount) replayableUntil() time.Time {
	if c.newest.IsZero() {
		return time.Now().Add(schemas.CleanReplayAge)
	}
	return c.newest.Add(schemas.CleanReplayAge)
}
