package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

// versionTwo makes the table as it was and puts rows into it.
func versionTwo(t *testing.T, ch *engine, rows int) {
	t.Helper()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrate(t.Context(), ch.settings(), files, stopAt(2)); err == nil || !strings.Contains(err.Error(), "0003_by_expiry") {
		t.Fatalf("migrate to version 2: %v", err)
	}
	ch.query(t, fmt.Sprintf("INSERT INTO sluice.events (pk, tenant, action, created, expires, context, user, brand, extra) SELECT "+
		"generateUUIDv4(), 'acme', 'login', now() - number, now() + (number %% 12 + 1) * 40 * 86400, "+
		"'{\"http_request\":{\"path\":\"/x\"},\"model\":{\"pk\":7},\"asn\":{\"asn\":5}}', '{}', '{}', if(number = 3, '{\"expiring\":false}', '{}') FROM numbers(1, %d)", rows))
}

func checkMoved(t *testing.T, ch *engine, rows int) {
	t.Helper()
	got := ch.query(t, "SELECT count(), uniqExact(pk), countIf(http_path = '/x' AND model_pk = '7' AND asn = 5), countIf(expiry = 'never' AND expires > '2106-01-01'), "+
		"countIf(leaves < expires), countIf(cohort != leaves), countIf(created < now() - INTERVAL 1 DAY) FROM sluice.events")
	if want := fmt.Sprintf("%d\t%d\t%d\t1\t0\t0\t0", rows, rows, rows); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if left := ch.query(t, "SELECT name FROM system.tables WHERE database = 'sluice' AND name NOT IN ('events', 'schema_version') AND engine != 'View'"); left != "" {
		t.Errorf("left over: %s", left)
	}
}

// Several sinks at once move the rows of version 2, each row once.
func TestMoveRowsOfVersionTwo(t *testing.T) {
	ch := cleanEngine(t)
	versionTwo(t, ch, 2000)
	done := make(chan error)
	for range 4 {
		go func() { _, err := Migrate(context.Background(), ch.settings()); done <- err }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	checkMoved(t, ch, 2000)
}

// A move that ends after any of its statements, with rows coming in between, is
// finished by the next one.
func TestMoveGoesOnWhereItEnded(t *testing.T) {
	for after := range 5 {
		t.Run(fmt.Sprintf("after %d statements", after), func(t *testing.T) {
			ch := cleanEngine(t)
			versionTwo(t, ch, 500)
			if after > 0 {
				ch.query(t, nextTableStatement)
			}
			if after > 1 { // killed half way through the copy
				month := ch.query(t, "SELECT toInt64("+oldPartition+") FROM sluice.events LIMIT 1")
				number, err := strconv.ParseInt(month, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				statement := copyStatement(eventsTable, nextTable, number)
				ch.query(t, statement)
				if after > 2 { // and a copy of a sink killed before, which ClickHouse went on with
					start, rest, _ := strings.Cut(statement, "AND pk NOT IN")
					_, end, _ := strings.Cut(rest, "SETTINGS")
					ch.query(t, start+" SETTINGS "+end)
				}
			}
			if after > 3 {
				ch.query(t, "EXCHANGE TABLES "+eventsTable+" AND "+nextTable)
			}
			if _, err := Migrate(t.Context(), ch.settings()); err != nil {
				t.Fatal(err)
			}
			checkMoved(t, ch, 500)
		})
	}
}

// The DEFAULT of the columns says what the sink does.
func TestDefaultsAreTheSinks(t *testing.T) {
	ch := cleanEngine(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range leavings {
		ch.query(t, fmt.Sprintf("INSERT INTO sluice.events (pk, tenant, created, expires, stored_at) SELECT generateUUIDv4(), '%s', now(), '%s', '2026-11-23 06:00:00.123'",
			tc.name, tc.expires))
		// With expired rows in it the part may be gone, so the expression is asked.
		got := ch.query(t, fmt.Sprintf("WITH toDateTime('%s', 'UTC') AS expires, toDateTime64('2026-11-23 06:00:00.123', 3, 'UTC') AS stored_at, 'own' AS expiry SELECT %s",
			tc.expires, leavesDefault(t)))
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func leavesDefault(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(nextTableStatement, "leaves       DateTime('UTC') DEFAULT ")
	expression, _, found := strings.Cut(rest, "COMMENT")
	if !found {
		t.Fatal("no DEFAULT of leaves")
	}
	return expression
}

// A lock whose holder is silent is taken over, one whose holder lives is not.
func TestMigrationLock(t *testing.T) {
	ch := cleanEngine(t)
	ch.query(t, "CREATE DATABASE sluice")
	db := openDB(t, ch)
	ch.query(t, "CREATE TABLE sluice.migration_lock_4 (x UInt8) ENGINE = Memory COMMENT '1000'")
	lock, work, err := lockMigrations(t.Context(), db, placement{})
	if err != nil || lock.number != 5 || work.Err() != nil {
		t.Fatalf("lock %+v, %v", lock, err)
	}
	if err := lock.alive(t.Context()); err != nil {
		t.Error(err)
	}
	if _, alive, _, err := readLocks(t.Context(), db, 0); !alive || err != nil {
		t.Errorf("alive: %t, %v", alive, err)
	}
	if held, err := (&migrationLock{db: db, number: 6}).take(t.Context(), 1000); held || err != nil {
		t.Errorf("two hold it: %v", err)
	}
	if held, err := (&migrationLock{db: db, number: 5}).take(t.Context(), 1000); held || err != nil {
		t.Errorf("two hold one table: %v", err)
	}
	lock.release(t.Context())
	if left := ch.query(t, "SELECT name FROM system.tables WHERE database = 'sluice'"); left != "" || work.Err() == nil {
		t.Errorf("left after release: %s", left)
	}
}

func openDB(t *testing.T, ch *engine) *sql.DB {
	t.Helper()
	opts, err := ch.settings().options()
	if err != nil {
		t.Fatal(err)
	}
	db := clickhouse.OpenDB(opts)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

var errStop = errors.New("stop here")

// stopAt makes a migration that fails after that version.
func stopAt(version int64) *goose.Migration {
	return goose.NewGoMigration(version+1, &goose.GoFunc{RunDB: func(context.Context, *sql.DB) error { return errStop }}, nil)
}
