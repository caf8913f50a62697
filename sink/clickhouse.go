package sink

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

// clickHouse is the table at the other end of the wire. It is for one goroutine,
// but for healthy.
type clickHouse struct {
	conn    driver.Conn
	place   placement
	address string
	columns columns
	trouble atomic.Pointer[fault]
}

// openClickHouse connects, again and again while nobody answers. Only wrong
// settings are an error.
func openClickHouse(ctx context.Context, server ClickHouse, stats *metrics, log *slog.Logger) (*clickHouse, error) {
	opts, err := server.options()
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", faultOf(err))
	}
	db := &clickHouse{conn: conn, place: server.placement(), address: strings.Join(opts.Addr, ",")}
	said := false
	for delay := retryFirst; ; delay = min(2*delay, pingLast) {
		err := faultOf(db.ping(ctx))
		if err == nil {
			return db, nil
		}
		var f *fault
		if errors.As(err, &f) && f.final {
			_ = conn.Close()
			return nil, fmt.Errorf("connect to ClickHouse at %s: %w (check CLICKHOUSE_URL)", db.address, err)
		}
		if !said && ctx.Err() == nil {
			log.Warn("waiting for ClickHouse", "address", db.address, "setting", "CLICKHOUSE_URL", "error", err)
			said = true
		}
		stats.retries.Inc()
		if wait(ctx, delay) != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("connect to ClickHouse at %s: %w", db.address, ctx.Err())
		}
	}
}

// pingLast is the longest pause between attempts to reach a ClickHouse that is
// not there yet: asking costs it nothing.
const pingLast = 2 * time.Second

func (c *clickHouse) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return c.conn.Ping(ctx)
}

// Close closes the connections.
func (c *clickHouse) Close() {
	_ = c.conn.Close() // nothing is buffered there
}

// healthy says whether ClickHouse answered the last time it was asked.
func (c *clickHouse) healthy() error {
	if f := c.trouble.Load(); f != nil {
		return f
	}
	return nil
}

// note remembers how the last call ended, for healthy.
func (c *clickHouse) note(err error) error {
	err = faultOf(err)
	var f *fault
	if errors.As(err, &f) && !f.refusal {
		c.trouble.Store(f)
	} else if err == nil {
		c.trouble.Store(nil)
	}
	return err
}

// The longest that one call may take, on both sides.
const (
	insertTimeout = 30 * time.Second
	lookupTimeout = 30 * time.Second
)

// lookupRows is how many pks one look-up asks for: 10,000 make a statement of
// 213 KB, which fits into ClickHouse's default max_query_size of 256 KiB.
const lookupRows = 10_000

// known implements table.
func (c *clickHouse) known(ctx context.Context, entries []entry) (map[uuid.UUID]struct{}, error) {
	found := map[uuid.UUID]struct{}{}
	for start := 0; start < len(entries); start += lookupRows {
		if err := c.note(c.lookup(ctx, entries[start:min(start+lookupRows, len(entries))], found)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (c *clickHouse) lookup(ctx context.Context, entries []entry, found map[uuid.UUID]struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	rows, err := c.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(c.place.reading(clickhouse.Settings{
		"max_execution_time": int(lookupTimeout / time.Second),
		// Its entries would be of no use to anybody: no batch comes twice.
		"use_query_condition_cache": 0,
	}))), lookupStatement(entries))
	if err != nil {
		return err
	}
	for rows.Next() {
		var pk uuid.UUID
		if err := rows.Scan(&pk); err != nil {
			_ = rows.Close()
			return fmt.Errorf("read a pk: %w", err)
		}
		found[pk] = struct{}{}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// pksAtOnce is how many pks are handed over together.
const pksAtOnce = 50_000

// countRows is how many rows the table has.
func (c *clickHouse) countRows(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var count uint64
	err := c.conn.QueryRow(ctx, "SELECT count() FROM "+eventsTable).Scan(&count)
	return int(min(count, 1<<40)), faultOf(err)
}

// readPKs hands the pks of all rows to each. It may run beside the other calls.
func (c *clickHouse) readPKs(ctx context.Context, each func(pks []uuid.UUID)) error {
	rows, err := c.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(c.place.reading(clickhouse.Settings{
		"max_execution_time": 0, "max_threads": 1, "max_block_size": pksAtOnce,
	}))), "SELECT pk FROM "+eventsTable)
	if err != nil {
		return faultOf(err)
	}
	pks := make([]uuid.UUID, 0, pksAtOnce)
	for rows.Next() {
		var pk uuid.UUID
		if err := rows.Scan(&pk); err != nil {
			return errors.Join(fmt.Errorf("read a pk: %w", err), rows.Close())
		}
		if pks = append(pks, pk); len(pks) == cap(pks) {
			each(pks)
			pks = pks[:0]
		}
	}
	each(pks)
	return faultOf(errors.Join(rows.Err(), rows.Close()))
}

// lookupStatement asks for the pks in 21 bytes each, which ClickHouse reads six
// times as fast as a list of literals.
func lookupStatement(entries []entry) string {
	ids := make([]byte, 0, 16*len(entries))
	for i := range entries {
		ids = appendReversed(ids, entries[i].pk)
	}
	var b strings.Builder
	b.Grow(len(ids)*4/3 + 256)
	b.WriteString("WITH base64Decode('")
	b.WriteString(base64.StdEncoding.EncodeToString(ids))
	fmt.Fprintf(&b, "') AS ids SELECT pk FROM %s WHERE pk IN "+
		"(SELECT reinterpretAsUUID(substring(ids, number * 16 + 1, 16)) FROM numbers(%d))", eventsTable, len(entries))
	return b.String()
}

// appendReversed appends a UUID as ClickHouse keeps it in memory: two
// little-endian halves.
func appendReversed(dst []byte, pk uuid.UUID) []byte {
	for half := 0; half < 16; half += 8 {
		for i := 7; i >= 0; i-- {
			dst = append(dst, pk[half+i])
		}
	}
	return dst
}

// insert implements table.
func (c *clickHouse) insert(ctx context.Context, entries []entry, token string) error {
	return c.note(c.send(ctx, entries, token))
}

func (c *clickHouse) send(ctx context.Context, entries []entry, token string) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	batch, err := c.conn.PrepareBatch(clickhouse.Context(ctx,
		clickhouse.WithColumnNamesAndTypes(insertColumns()), // else HTTP asks for them each time
		clickhouse.WithSettings(c.place.inserting(insertSettings(token)))), insertStatement)
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }() // does nothing after Send
	if err := c.columns.fill(batch, entries); err != nil {
		return err
	}
	if rows := batch.Rows(); rows != len(entries) {
		return fmt.Errorf("encode %d rows: got %d", len(entries), rows)
	}
	return batch.Send()
}

// insertSettings make the block arrive as the one block that it is, be dropped
// if its token is known, and be on disk before the answer.
func insertSettings(token string) clickhouse.Settings {
	return clickhouse.Settings{
		"async_insert":                    0,
		"insert_deduplicate":              1,
		"deduplicate_insert":              "enable",
		"insert_deduplication_token":      token,
		"max_insert_threads":              1,
		"min_insert_block_size_rows":      0, // blocks are not put together
		"min_insert_block_size_bytes":     0,
		"max_insert_block_size":           1 << 20, // nor split: maxBatchRows is far less
		"max_partitions_per_insert_block": 0,       // expiries may be of any months
		"max_execution_time":              int(insertTimeout / time.Second),
	}
}
