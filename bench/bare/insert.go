package bare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// insertRows is the sink's default batch. Of fewer rows ten blocks are made, since they
// are measured block by block.
const insertRows = 10_000

func blockRows(most int) int { return min(insertRows, max(most/10, 1)) }

// bareTable is a table like the sink's own, projections, settings and all.
const bareTable = "sluice.bench_bare"

// Insert takes the rows that the sink has stored, at most so many, and stores them
// again by clickhouse-go, column by column, in blocks of the sink's size, into a table
// of the same kind: the other ceiling of the sink. It prints "ready" when it has them
// in memory, waits for a byte or the end of its input, and prints "done" and the number
// of rows.
func Insert(ctx context.Context, url string, most int, in io.Reader, out io.Writer) error {
	opts, err := clickhouse.ParseDSN(url)
	if err != nil {
		return fmt.Errorf("CLICKHOUSE_URL: %w", err)
	}
	if opts.Compression == nil {
		opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4} // as the sink
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	layout, err := tableColumns(ctx, conn)
	if err != nil {
		return err
	}
	blocks, rows, err := readBlocks(ctx, conn, layout, most)
	if err != nil {
		return err
	}
	for _, statement := range []string{"DROP TABLE IF EXISTS " + bareTable + " SYNC", "CREATE TABLE " + bareTable + " AS sluice.events"} {
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the table: %w", err)
		}
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	if _, err := in.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, block := range blocks {
		if err := insertBlock(ctx, conn, layout, block); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "done %d\n", rows)
	return err
}

type layout struct {
	columns   []clickhouse.ColumnNameAndType
	statement string // names them
}

// tableColumns are those of the sink's table that are stored.
func tableColumns(ctx context.Context, conn driver.Conn) (l layout, err error) {
	rows, err := conn.Query(ctx, "SELECT name, type FROM system.columns WHERE database = 'sluice' AND table = 'events' "+
		"AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') ORDER BY position")
	if err != nil {
		return l, fmt.Errorf("columns of the table: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var c clickhouse.ColumnNameAndType
		if err := rows.Scan(&c.Name, &c.Type); err != nil {
			return l, fmt.Errorf("columns of the table: %w", err)
		}
		l.columns, names = append(l.columns, c), append(names, c.Name)
	}
	l.statement = strings.Join(names, ", ")
	if len(names) == 0 {
		return l, errors.New("there is no table sluice.events: the sink has to store something first")
	}
	return l, rows.Err()
}

// block is rows turned on their side: for each column a slice.
type block []reflect.Value

func readBlocks(ctx context.Context, conn driver.Conn, l layout, most int) (blocks []block, count int, err error) {
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT %s FROM sluice.events ORDER BY stream_seq LIMIT %d", l.statement, most))
	if err != nil {
		return nil, 0, fmt.Errorf("read the rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	types, size := rows.ColumnTypes(), blockRows(most)
	for rows.Next() {
		if count%size == 0 {
			b := make(block, len(types))
			for i, t := range types {
				b[i] = reflect.MakeSlice(reflect.SliceOf(t.ScanType()), 0, size)
			}
			blocks = append(blocks, b)
		}
		row, b := make([]any, len(types)), blocks[len(blocks)-1]
		for i := range b {
			row[i] = reflect.New(b[i].Type().Elem()).Interface()
		}
		if err := rows.Scan(row...); err != nil {
			return nil, 0, fmt.Errorf("read a row: %w", err)
		}
		for i := range b {
			b[i] = reflect.Append(b[i], reflect.ValueOf(row[i]).Elem())
		}
		count++
	}
	return blocks, count, rows.Err()
}

func insertBlock(ctx context.Context, conn driver.Conn, l layout, b block) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithColumnNamesAndTypes(l.columns), clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, // the blocks are large already
	}))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+bareTable+" ("+l.statement+")")
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	defer func() { _ = batch.Close() }() // after Send there is nothing to close
	for i := range b {
		if err := batch.Column(i).Append(b[i].Interface()); err != nil {
			return fmt.Errorf("insert: column %s: %w", l.columns[i].Name, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	return nil
}
