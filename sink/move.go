package sink

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
)

// nextTable is the table that the rows move into; once the two have changed
// names, it is what is left of the old one.
const nextTable = "sluice.events_next"

//go:embed table.sql
var nextTableStatement string

// oldColumns are the columns that both layouts have. The others are computed
// from them by their DEFAULT.
const oldColumns = "pk, tenant, action, app, created, expires, user_pk, username, user_email, client_ip, brand_name, " +
	"context, user, brand, extra, redacted, fingerprints, traceparent, stream_seq, stored_at"

// moveByExpiry is migration 3: it moves the rows of version 2 to a table that is
// partitioned by expiry. ClickHouse cannot change the partitions of a table, so
// there is a new one. What the move has done shows in the tables themselves: it
// may be killed at any statement and run again. Sinks may go on inserting
// meanwhile, since what came in between is fetched after the change of names.
//
// An own expiry cannot be told from one by retention in the old rows. They count
// as their own, so that no change of retention removes one before its promise.
func moveByExpiry(ctx context.Context, db *sql.DB) error {
	exec := func(what, statement string) error {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	var moved bool
	if err := db.QueryRowContext(ctx, "SELECT count() > 0 FROM system.columns "+
		"WHERE database = 'sluice' AND table = 'events' AND name = 'cohort'").Scan(&moved); err != nil {
		return fmt.Errorf("read the columns of %s: %w", eventsTable, err)
	}
	if !moved {
		if err := exec("create "+nextTable, nextTableStatement); err != nil {
			return err
		}
		if err := copyRows(ctx, db, eventsTable, nextTable); err != nil {
			return err
		}
		if err := exec("exchange tables", "EXCHANGE TABLES "+eventsTable+" AND "+nextTable); err != nil {
			return err
		}
	}
	var left bool
	if err := db.QueryRowContext(ctx, "SELECT count() > 0 FROM system.tables "+
		"WHERE database = 'sluice' AND name = 'events_next'").Scan(&left); err != nil {
		return fmt.Errorf("look for %s: %w", nextTable, err)
	}
	if !left {
		return nil
	}
	if err := copyRows(ctx, db, nextTable, eventsTable); err != nil {
		return err
	}
	return exec("drop the old table", "DROP TABLE "+nextTable+" SYNC")
}

// copyRows copies month by month, so that one block is not cut into parts for
// every day of a year. A copy that goes on in ClickHouse after its sink was killed
// would copy the same rows: it is ended first, and what was copied twice
// nevertheless is merged into one.
func copyRows(ctx context.Context, db *sql.DB, from, to string) error {
	months, err := monthsOf(ctx, db, from)
	if err != nil {
		return fmt.Errorf("list the partitions of %s: %w", from, err)
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf("KILL QUERY WHERE query LIKE 'INSERT INTO %s %% FROM %s AS old %%' SYNC", to, from)); err != nil {
		return fmt.Errorf("end an earlier copy into %s: %w", to, err)
	}
	for _, month := range months {
		if _, err := db.ExecContext(ctx, copyStatement(from, to, month)); err != nil {
			return fmt.Errorf("copy the rows of %d from %s to %s: %w", month, from, to, err)
		}
		if err := mergeRepeated(ctx, db, to, month); err != nil {
			return fmt.Errorf("look for rows of %d that were copied twice: %w", month, err)
		}
	}
	return nil
}

// mergeRepeated leaves one of each row of the month that is there twice. Two copies
// of a row have the same order and the same partition.
func mergeRepeated(ctx context.Context, db *sql.DB, table string, month int64) error {
	var repeated uint64
	if err := db.QueryRowContext(ctx, fmt.Sprintf("SELECT count() - uniqExact(pk) FROM %s WHERE %s = %d",
		table, oldPartition, month)).Scan(&repeated); err != nil || repeated == 0 {
		return err
	}
	_, err := db.ExecContext(ctx, "OPTIMIZE TABLE "+table+" FINAL")
	return err
}

func monthsOf(ctx context.Context, db *sql.DB, table string) (months []int64, err error) {
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT DISTINCT toInt64(%s) AS month FROM %s ORDER BY month", oldPartition, table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var month int64
		if err := rows.Scan(&month); err != nil {
			return nil, err
		}
		months = append(months, month)
	}
	return months, rows.Err()
}

// oldPartition is how version 2 partitions its table, and keptUntil when a row of
// it expires, which did not know of expiring: false.
const (
	oldPartition = "toYYYYMM(greatest(toDateTime('2020-01-01', 'UTC'), least(expires, toDateTime('2050-01-01', 'UTC'))))"
	keptUntil    = "if(JSONExtractRaw(extra, 'expiring') = 'false', toDateTime('2106-02-07 06:28:15', 'UTC'), expires)"
)

// copyStatement copies a month's rows whose pk is not there yet. What has expired
// stays behind.
func copyStatement(from, to string, month int64) string {
	values := strings.Replace(oldColumns, "expires", keptUntil, 1)
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS old WHERE %s = %d AND %s > now() "+
		"AND pk NOT IN (SELECT pk FROM %s WHERE %s = %d OR expiry = 'never') "+
		"SETTINGS max_partitions_per_insert_block = 0, max_insert_threads = 1, insert_deduplicate = 0, "+
		"min_insert_block_size_rows = 1000000, min_insert_block_size_bytes = 268435456",
		to, oldColumns, values, from, oldPartition, month, keptUntil, to, oldPartition, month)
}
