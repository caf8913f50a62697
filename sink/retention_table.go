package sink

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// storedEvents is the table for the commands that look after what is stored.
type storedEvents struct {
	conn  driver.Conn
	place placement
}

// mutationPatience is how long an answer may take: rewriting a large table takes hours.
const mutationPatience = 7 * 24 * time.Hour

// openStored connects, and fails if nobody answers or the table is not as this version
// makes it.
func openStored(ctx context.Context, server ClickHouse) (*storedEvents, error) {
	opts, err := server.options()
	if err != nil {
		return nil, err
	}
	opts.ReadTimeout = mutationPatience
	address := strings.Join(opts.Addr, ",")
	conn, err := clickhouse.Open(opts)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", faultOf(err))
	}
	t := &storedEvents{conn: conn, place: server.placement()}
	var columns uint64
	err = t.row(ctx, "SELECT count() FROM system.columns WHERE database = 'sluice' AND table = 'events' AND name IN ('expiry', 'leaves')", &columns)
	switch {
	case unreachable(err):
		err = fmt.Errorf("connect to ClickHouse at %s: %w (start it, or set CLICKHOUSE_URL)", address, err)
	case err != nil:
		err = fmt.Errorf("connect to ClickHouse at %s: %w (check CLICKHOUSE_URL)", address, err)
	case columns != 2:
		err = fmt.Errorf("clickhouse at %s has no table %s of this version: run `sink migrate`", address, eventsTable)
	default:
		return t, nil
	}
	t.close()
	return nil, err
}

func (t *storedEvents) close() { _ = t.conn.Close() }

// settings let a statement take its time, and leave what it looks for out of
// ClickHouse's log of queries.
func (t *storedEvents) settings(ctx context.Context, more clickhouse.Settings) context.Context {
	settings := clickhouse.Settings{"max_execution_time": 0, "log_queries": 0, "use_query_condition_cache": 0}
	settings = t.place.changing(t.place.inserting(t.place.reading(settings)))
	maps.Copy(settings, more)
	return clickhouse.Context(ctx, clickhouse.WithSettings(settings))
}

// row reads the one row that a statement gives.
func (t *storedEvents) row(ctx context.Context, statement string, into ...any) error {
	return faultOf(t.conn.QueryRow(t.settings(ctx, nil), statement).Scan(into...))
}

// rowEverywhere is row for what is asked of every replica, one that lags behind included.
func (t *storedEvents) rowEverywhere(ctx context.Context, statement string, into ...any) error {
	ctx = t.settings(ctx, clickhouse.Settings{"select_sequential_consistency": 0})
	return faultOf(t.conn.QueryRow(ctx, statement).Scan(into...))
}

// each hands every row of the answer to read.
func (t *storedEvents) each(ctx context.Context, statement string, read func(rows driver.Rows) error) error {
	rows, err := t.conn.Query(t.settings(ctx, nil), statement)
	if err != nil {
		return faultOf(err)
	}
	for rows.Next() {
		if err := read(rows); err != nil {
			_ = rows.Close()
			return fmt.Errorf("read an answer of ClickHouse: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		_ = rows.Close()
		return faultOf(err)
	}
	return faultOf(rows.Close())
}

func (t *storedEvents) exec(ctx context.Context, statement string) error {
	return faultOf(t.conn.Exec(t.settings(ctx, nil), statement))
}

// now is the time by ClickHouse's clock, which stamps and expires the rows.
func (t *storedEvents) now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := t.row(ctx, "SELECT now64(3, 'UTC')", &now)
	return now, err
}

// mutate rewrites the rows as the changes say on every shard and replica, and waits for
// it. Of what is left it tells progress, if that is not nil. When ctx ends, ClickHouse
// goes on.
func (t *storedEvents) mutate(ctx context.Context, what, changes string, progress io.Writer) error {
	statement := "ALTER TABLE " + t.place.rowsTable() + t.place.onCluster() + " " + changes
	done := make(chan error, 1)
	go func() {
		done <- faultOf(t.conn.Exec(t.settings(ctx, clickhouse.Settings{
			"mutations_sync": 2, "allow_nondeterministic_mutations": 1,
		}), statement))
	}()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			overwrite(progress, "")
			return mutationError(ctx, what, err)
		case <-tick.C:
			if progress == nil {
				continue
			}
			var parts int64
			if t.row(ctx, "SELECT toInt64(sum(parts_to_do)) FROM "+t.place.everywhere("system.mutations")+" WHERE "+t.place.inRowsTable()+" AND NOT is_done", &parts) == nil {
				overwrite(progress, fmt.Sprintf("%d parts to rewrite", parts))
			}
		}
	}
}

// overwrite writes what is going on over what was shown before.
func overwrite(progress io.Writer, text string) {
	if progress != nil {
		fmt.Fprintf(progress, "\r\x1b[K%s", text)
	}
}

// progressEvery is how often a person sees how far it is.
const progressEvery = 500 * time.Millisecond

// mutationError says what goes on when the command does not.
func mutationError(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: interrupted, ClickHouse goes on with it: run the command again to see it done", what)
	}
	return fmt.Errorf("%s: %w (ClickHouse goes on trying, see system.mutations; run the command again)", what, err)
}
