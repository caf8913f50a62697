package clickhouse

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/ext"
)

func externalIDs(n uint64) (*ext.Table, error) {
	table, err := ext.NewTable("ids", ext.Column("id", "UInt64"))
	if err != nil {
		return nil, err
	}
	for id := range n {
		if err := table.Append(id); err != nil {
			return nil, err
		}
	}
	return table, nil
}

// oddBytes holds every byte, line breaks of each kind and quotes.
func oddBytes() string {
	var every [256]byte
	for i := range every {
		every[i] = byte(i)
	}
	return string(every[:]) + "\r\n\x00\x00;\n\n'\"`\\N\\\xff\xfe INSERT INTO t FORMAT CSV\n"
}

// TestOddBytes inserts any byte in each kind of format and reads it back.
func TestOddBytes(t *testing.T) {
	t.Parallel()
	base, odd := sharedURL(t), oddBytes()
	escape := strings.NewReplacer("\\", "\\\\", "'", "\\'", "\t", "\\t", "\n", "\\n", "\r", "\\r", "\x00", "\\0", "\b", "\\b", "\f", "\\f")
	for format, data := range map[string]string{
		"Values":       "('" + escape.Replace(odd) + "')",
		"TabSeparated": escape.Replace(odd) + "\n",
		"CSV":          "\"" + strings.ReplaceAll(odd, "\"", "\"\"") + "\"\n",
		"RowBinary":    string([]byte{byte(len(odd)&0x7f | 0x80), byte(len(odd) >> 7)}) + odd,
		"Native":       "\x01\x01\x01a\x06String" + string([]byte{byte(len(odd)&0x7f | 0x80), byte(len(odd) >> 7)}) + odd,
		"RawBLOB":      odd,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			table := "odd_" + strings.ToLower(format)
			post(t, base, "CREATE OR REPLACE TABLE "+table+" (a String) ENGINE = MergeTree ORDER BY a")
			separator := " FORMAT " + format + "\n"
			if format == "Values" {
				separator = " VALUES "
			}
			post(t, base, "INSERT INTO "+table+separator+data)                                     // all in the body
			post(t, base, data, "query", "INSERT INTO "+table+strings.TrimSuffix(separator, "\n")) // the head as parameter
			for _, got := range []string{post(t, base, "SELECT a FROM "+table+" LIMIT 1 FORMAT RawBLOB"), post(t, base, "SELECT a FROM "+table+" LIMIT 1, 1 FORMAT RawBLOB")} {
				if got != odd {
					t.Errorf("got  %q\nwant %q", got, odd)
				}
			}
		})
	}
}

func TestInsertForms(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE forms (a UInt64, b String DEFAULT 'none') ENGINE = MergeTree ORDER BY a")
	post(t, base, "CREATE DATABASE IF NOT EXISTS forms")
	post(t, base, "CREATE OR REPLACE TABLE forms.other (a UInt64) ENGINE = MergeTree ORDER BY a")
	for _, insert := range []struct {
		statement string
		params    []string
	}{
		{"INSERT INTO forms VALUES (1, 'a'), (2, 'b');", nil},
		{"INSERT INTO forms (a) VALUES (3)", nil},
		{"INSERT INTO forms (a) SETTINGS max_threads = 1 FORMAT CSV\n4\n", nil},
		{"INSERT INTO forms (a) SELECT 5", nil},
		{"INSERT INTO forms (a) FORMAT JSONEachRow {\"a\": 6}", []string{"input_format_skip_unknown_fields", "1"}},
		{"INSERT INTO {table:Identifier} (a) VALUES (7)", []string{"param_table", "forms"}},
		{"INSERT INTO forms (a) VALUES (8)", []string{"async_insert", "1", "wait_for_async_insert", "0"}},
		{"INSERT INTO forms (a) VALUES ({v:UInt64} + 1)", []string{"param_v", "8"}},
		{"INSERT INTO other VALUES (10)", []string{"database", "forms"}},
	} {
		post(t, base, insert.statement, insert.params...)
	}
	if got, want := post(t, base, "SELECT count(), sum(a), countIf(b = 'none') FROM forms"), "9\t45\t7\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := post(t, base, "SELECT * FROM forms.other"); got != "10\n" {
		t.Errorf("other database: %q", got)
	}
}

func TestBadDataIsRefused(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE bad_data (a UInt64) ENGINE = MergeTree ORDER BY a")
	for _, data := range []string{" VALUES (1), (x)", " FORMAT CSV\n1\nx\n", " FORMAT JSONEachRow {\"a\":1}\n{\"a\"", " FORMAT Native\n\x01\x01\x01a\x06UInt64\x01", " FORMAT Nothing\n1"} {
		if got := send(t, base, strings.NewReader("INSERT INTO bad_data"+data)); got.status == http.StatusOK || got.code() == "" {
			t.Errorf("%q: %d %s", data, got.status, got.body)
		}
	}
	if got := post(t, base, "SELECT count() FROM bad_data"); got != "0\n" {
		t.Errorf("%s rows are stored", got)
	}
}

// TestBrokenBody holds that an insert whose body breaks off stores nothing.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE broken_body (a UInt64) ENGINE = MergeTree ORDER BY a")
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Repeat("12345\n", 500_000) // beyond what is read to find the head
	for name, request := range map[string]string{
		"length":  fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 2*len(rows), rows),
		"chunked": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(rows), rows),
	} {
		conn, err := (&net.Dialer{Timeout: time.Minute}).DialContext(t.Context(), "tcp", target.Host)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, "POST /?log_comment=broken+body&query=INSERT+INTO+broken_body+FORMAT+CSV HTTP/1.1\r\nHost: localhost\r\n"+request)
		if err != nil {
			t.Fatal(err)
		}
		running := func() string {
			return post(t, base, "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'broken body'")
		}
		eventually(t, name+": the insert runs", func() bool { return running() == "1\n" })
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+": the insert ends", func() bool { return running() == "0\n" })
	}
	if got := post(t, base, "SELECT count() FROM broken_body"); got != "0\n" {
		t.Errorf("%s rows of broken bodies are stored", strings.TrimSpace(got))
	}
}

// TestLargeInsertStreams sends more than the engine may hold.
func TestLargeInsertStreams(t *testing.T) {
	t.Parallel()
	base := startSmall(t).URL()
	post(t, base, "CREATE OR REPLACE TABLE large_insert (a String) ENGINE = Null")
	line := append(bytes.Repeat([]byte{'x'}, 1<<20-1), '\n')
	const lines = 500
	reader, writer := io.Pipe()
	go func() {
		for range lines {
			if _, err := writer.Write(line); err != nil {
				return
			}
		}
		_ = writer.Close()
	}()
	got := send(t, base, reader, "query", "INSERT INTO large_insert FORMAT TSV", "max_insert_block_size_bytes", "10000000")
	if summary := got.header.Get("X-ClickHouse-Summary"); !strings.Contains(summary, fmt.Sprintf(`"written_rows":"%d"`, lines)) {
		t.Errorf("%d %s %s", got.status, got.body, summary)
	}
}

func TestTTLRemovesRows(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE ttl (a UInt64, expires DateTime('UTC')) ENGINE = MergeTree ORDER BY a TTL expires SETTINGS merge_with_ttl_timeout = 1")
	post(t, base, "INSERT INTO ttl SELECT number, if(number < 50, now() + 3, now() + 3600) FROM numbers(100)")
	if got := post(t, base, "SELECT count() FROM ttl"); got != "100\n" {
		t.Fatalf("right after the insert: %s rows, want 100", got)
	}
	eventually(t, "the expired rows are removed", func() bool { return post(t, base, "SELECT count() FROM ttl") == "50\n" })
}
