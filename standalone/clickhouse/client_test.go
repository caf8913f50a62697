package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// connect opens clickhouse-go on the shared engine as the services do.
func connect(t *testing.T, method driver.CompressionMethod) driver.Conn {
	t.Helper()
	conn, err := driver.Open(clientOptions(t, method))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func clientOptions(t *testing.T, method driver.CompressionMethod) *driver.Options {
	t.Helper()
	options, err := driver.ParseDSN(sharedURL(t) + "/default")
	if err != nil {
		t.Fatal(err)
	}
	options.Compression = &driver.Compression{Method: method}
	return options
}

func TestClientJSON(t *testing.T) {
	t.Parallel()
	conn, ctx := connect(t, driver.CompressionLZ4), t.Context()
	if err := conn.Exec(ctx, "CREATE OR REPLACE TABLE json (id UInt8, context String, ctx JSON ALIAS JSONExtract(context, 'JSON')) ENGINE = MergeTree ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = batch.Close() }()
	for i, context := range []string{
		`{"http_request":{"path":"/a"},"n":1,"list":[1,"x"]}`, `{"http_request":{"path":7}}`, `{"a":1,"a":2}`, `{"a.b":1,"a":{"b":2}}`,
		strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000),
	} {
		if err := batch.Append(uint8(i), context); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, "SELECT id, ctx.http_request.path::String, ctx FROM json ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	want := []string{"/a", "7", "", "", ""}
	for rows.Next() {
		var id uint8
		var path string
		var whole driver.JSON
		if err := rows.Scan(&id, &path, &whole); err != nil {
			t.Fatal(err)
		}
		if path != want[id] {
			t.Errorf("row %d: path %q, want %q", id, path, want[id])
		}
		if id == 0 {
			value, ok := whole.ValueAtPath("http_request.path")
			if !ok || fmt.Sprint(value) == "" {
				t.Errorf("path in the JSON column: %v, %t", value, ok)
			}
		}
	}
	if rows.Err() != nil {
		t.Error(rows.Err())
	}
}

func TestClientParametersAndErrors(t *testing.T) {
	t.Parallel()
	conn, ctx := connect(t, driver.CompressionLZ4), t.Context()
	var text string
	var number uint64
	row := conn.QueryRow(ctx, "SELECT {text:String}, {number:UInt64}", driver.Named("text", "it's\ta \\ test\n"), driver.Named("number", "42"))
	if err := row.Scan(&text, &number); err != nil || text != "it's\ta \\ test\n" || number != 42 {
		t.Errorf("named parameters: %q, %d, %v", text, number, err)
	}
	if err := conn.QueryRow(ctx, "SELECT ?, ?", "it's", 7).Scan(&text, new(uint8)); err != nil || text != "it's" {
		t.Errorf("bound parameters: %q, %v", text, err)
	}
	err := conn.QueryRow(ctx, "SELECT * FROM nowhere").Scan(&text)
	if raised, ok := errors.AsType[*driver.Exception](err); !ok || raised.Code != 60 {
		t.Errorf("unknown table: %v", err)
	}
	rows, err := conn.Query(ctx, "SELECT throwIf(number = 500000), repeat('x', 10) FROM numbers(1000000) SETTINGS max_threads = 1")
	if err == nil {
		for rows.Next() { // to the error
		}
		err = rows.Err()
	}
	if raised, ok := errors.AsType[*driver.Exception](err); !ok || raised.Code != 395 {
		t.Errorf("late error: %v", err)
	}
	empty, err := conn.Query(ctx, "SELECT 1 WHERE 0")
	if err != nil || empty.Next() || empty.Err() != nil {
		t.Errorf("no rows: %v", err)
	}
	version, err := conn.ServerVersion()
	if err != nil || version.Revision < 54460 || version.Timezone.String() != "UTC" {
		t.Errorf("version %+v, %v", version, err)
	}
}

func TestClientDeduplication(t *testing.T) {
	t.Parallel()
	conn, ctx := connect(t, driver.CompressionLZ4), t.Context()
	if err := conn.Exec(ctx, "CREATE OR REPLACE TABLE deduplication (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"); err != nil {
		t.Fatal(err)
	}
	for _, insert := range []struct {
		token string
		first uint64
		want  uint64
	}{{"one", 0, 100}, {"one", 0, 100}, {"one", 1000, 100}, {"two", 0, 200}, {"two", 0, 200}} {
		batch, err := conn.PrepareBatch(driver.Context(ctx, driver.WithSettings(driver.Settings{"insert_deduplication_token": insert.token})), "INSERT INTO deduplication")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = batch.Close() }()
		for i := range uint64(100) {
			if err := batch.Append(insert.first + i); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
		var count uint64
		if err := conn.QueryRow(ctx, "SELECT count() FROM deduplication").Scan(&count); err != nil || count != insert.want {
			t.Errorf("after token %s from %d: %d rows, %v, want %d", insert.token, insert.first, count, err, insert.want)
		}
	}
}

func TestClientInsertFormat(t *testing.T) {
	t.Parallel()
	conn, ctx := connect(t, driver.CompressionLZ4), t.Context()
	if err := conn.Exec(ctx, "CREATE OR REPLACE TABLE insert_format (a UInt64, b String) ENGINE = Memory"); err != nil {
		t.Fatal(err)
	}
	if err := conn.InsertFormat(ctx, "JSONEachRow", "INSERT INTO insert_format", strings.NewReader("{\"a\":1,\"b\":\"x\\ny\"}\n{\"a\":2}\n")); err != nil {
		t.Fatal(err)
	}
	var count, sum uint64
	if err := conn.QueryRow(ctx, "SELECT count(), sum(a + length(b)) FROM insert_format").Scan(&count, &sum); err != nil || count != 2 || sum != 6 {
		t.Errorf("got %d rows, sum %d, %v", count, sum, err)
	}
}

func TestClientExternalTable(t *testing.T) {
	t.Parallel()
	conn := connect(t, driver.CompressionNone)
	table, err := externalIDs(50)
	if err != nil {
		t.Fatal(err)
	}
	var count uint64
	ctx := driver.Context(t.Context(), driver.WithExternalTable(table))
	if err := conn.QueryRow(ctx, "SELECT count() FROM numbers(10) WHERE number IN (SELECT id FROM ids)").Scan(&count); err != nil || count != 10 {
		t.Errorf("got %d, %v, want 10", count, err)
	}
}

func TestClientCancels(t *testing.T) {
	t.Parallel()
	conn := connect(t, driver.CompressionLZ4)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		var running string
		eventually(t, "the query runs", func() bool {
			running = post(t, sharedURL(t), "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'client cancels'")
			return running == "1\n"
		})
		cancel()
	}()
	asked := driver.Context(ctx, driver.WithSettings(driver.Settings{"log_comment": "client cancels"}))
	var count uint64
	err := conn.QueryRow(asked, "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1").Scan(&count)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestDatabaseSQL(t *testing.T) {
	t.Parallel()
	db := driver.OpenDB(clientOptions(t, driver.CompressionLZ4))
	defer func() { _ = db.Close() }()
	ctx := t.Context()
	for _, statement := range []string{
		"CREATE OR REPLACE TABLE database_sql (a UInt64, b String) ENGINE = MergeTree ORDER BY a",
		"ALTER TABLE database_sql ADD COLUMN c DateTime DEFAULT now()",
		"INSERT INTO database_sql (a, b) VALUES (1, 'x')",
		"ALTER TABLE database_sql DELETE WHERE a = 5 SETTINGS mutations_sync = 2",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO database_sql (a, b) VALUES (?, ?)", 2, "it's"); err != nil {
		t.Fatal(err)
	}
	transaction, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := transaction.PrepareContext(ctx, "INSERT INTO database_sql (a, b)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = statement.Close() }()
	if _, err := statement.ExecContext(ctx, uint64(3), "z"); err != nil {
		t.Fatal(err)
	}
	if err := transaction.Commit(); err != nil {
		t.Fatal(err)
	}
	var count int
	var texts sql.NullString
	if err := db.QueryRowContext(ctx, "SELECT count(), arrayStringConcat(arraySort(groupArray(b)), ',') FROM database_sql").Scan(&count, &texts); err != nil {
		t.Fatal(err)
	}
	if count != 3 || texts.String != "it's,x,z" {
		t.Errorf("got %d rows, %q", count, texts.String)
	}
}
