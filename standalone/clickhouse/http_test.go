package clickhouse

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{http.MethodGet, "/", 200, "Ok.\n"},
		{http.MethodGet, "/ping", 200, "Ok.\n"},
		{http.MethodHead, "/ping", 200, ""},
		{http.MethodGet, "/replicas_status", 200, "Ok.\n"},
		{http.MethodOptions, "/", 204, ""},
		{http.MethodGet, "/?query=SELECT+1", 200, "1\n"},
		{http.MethodHead, "/?query=SELECT+1", 200, ""},
	} {
		request := newRequest(t, test.method, base+test.path, http.NoBody)
		got := do(t, request)
		if got.status != test.status || got.body != test.body {
			t.Errorf("%s %s: got %d %q, want %d %q", test.method, test.path, got.status, got.body, test.status, test.body)
		}
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE DATABASE IF NOT EXISTS queries")
	post(t, base, "CREATE OR REPLACE TABLE queries.t (a UInt8) ENGINE = MergeTree ORDER BY a")
	post(t, base, "INSERT INTO queries.t VALUES (1)")
	for _, test := range []struct {
		name, statement string
		params          []string
		want            string
	}{
		{"select", "SELECT 1", nil, "1\n"},
		{"semicolon", "SELECT 1;\n", nil, "1\n"},
		{"format clause", "SELECT 1 AS a FORMAT JSONEachRow", nil, "{\"a\":1}\n"},
		{"default format", "SELECT 1 AS a", []string{"default_format", "JSONEachRow"}, "{\"a\":1}\n"},
		{"database", "SELECT * FROM t", []string{"database", "queries"}, "1\n"},
		{"setting", "SELECT getSetting('max_threads')", []string{"max_threads", "3"}, "3\n"},
		{"last of two settings", "SELECT getSetting('max_threads')", []string{"max_threads", "3", "max_threads", "4"}, "4\n"},
		{"setting beside a clause", "SELECT getSetting('max_threads') SETTINGS max_block_size = 1", []string{"max_threads", "3"}, "3\n"},
		{"setting with odd text", "SELECT getSetting('log_comment')", []string{"log_comment", "a'b\\c`d"}, "a\\'b\\\\c`d\n"},
		{"parameters", "SELECT {a:String}, {b:UInt8} + 1, {c:Array(String)}", []string{"param_a", "x\\ty'", "param_b", "7", "param_c", "['p','q']"}, "x\\ty\\'\t8\t['p','q']\n"},
		{"parameter as name", "SELECT * FROM {t:Identifier}.t", []string{"param_t", "queries"}, "1\n"},
		{"query parameter and body", " 2", []string{"query", "SELECT 1 +"}, "3\n"},
		{"describe", "DESCRIBE TABLE queries.t FORMAT TSVRaw", nil, "a\tUInt8\t\t\t\t\t\n"},
		{"exists", "EXISTS TABLE queries.t", nil, "1\n"},
		{"show", "SHOW TABLES FROM queries", nil, "t\n"},
		{"explain", "EXPLAIN AST SELECT 1", nil, "SelectWithUnionQuery (children 1)"},
		{"with", "WITH 1 AS x SELECT x", nil, "1\n"},
		{"union", "(SELECT 1) UNION ALL (SELECT 1)", nil, "1\n1\n"},
		{"comment", "/* INSERT INTO t */ SELECT 1 -- FORMAT JSON", nil, "1\n"},
		{"ignored settings", "SELECT 1", []string{"wait_end_of_query", "1", "send_progress_in_http_headers", "1", "quota_key", "k", "buffer_size", "10"}, "1\n"},
		{"no rows", "SELECT 1 WHERE 0", nil, ""},
		{"time zone", "SELECT timezone(), timezoneOf(now())", nil, "UTC" + "\tUTC\n"},
		{"system.tables", "SELECT name FROM system.tables WHERE database = 'queries'", nil, "t\n"},
		{"system.parts", "SELECT rows FROM system.parts WHERE database = 'queries' AND active", nil, "1\n"},
		{"system.merges", "SELECT count() FROM system.merges WHERE database = 'queries'", nil, "0\n"},
		{"system.settings", "SELECT value FROM system.settings WHERE name = 'async_insert'", nil, "0\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := post(t, base, test.statement, test.params...); got != test.want && !strings.HasPrefix(got, test.want+"\n ") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	for _, test := range []struct {
		name, statement string
		params          []string
		status, code    int
	}{
		{"syntax", "SELEC 1", nil, 400, 62},
		{"empty", " ", nil, 400, 62},
		{"word of the command line client", "exit", nil, 400, 62},
		{"two statements", "SELECT 1; SELECT 2", nil, 400, 62},
		{"unknown table", "SELECT * FROM nowhere", nil, 404, 60},
		{"unknown table to insert into", "INSERT INTO nowhere VALUES (1)", nil, 404, 60},
		{"unknown database", "SELECT 1", []string{"database", "nowhere"}, 404, 81},
		{"unknown setting", "SELECT 1", []string{"no_such_setting", "1"}, 404, 115},
		{"bad setting", "SELECT 1", []string{"max_threads", "x"}, 400, 27},
		{"missing parameter", "SELECT {a:UInt8}", nil, 500, 456},
		{"unknown format", "SELECT 1 FORMAT Nothing", nil, 404, 73},
		{"outfile", "SELECT 1 INTO OUTFILE '/nowhere'", nil, 500, 358},
		{"infile", "INSERT INTO t FROM INFILE '/nowhere' FORMAT CSV", nil, 500, 358},
		{"division", "SELECT intDiv(1, 0)", nil, 500, 153},
		{"memory", "SELECT length(groupArray(number)) FROM numbers(1000000000)", []string{"max_memory_usage", "100000000"}, 500, 241},
		{"timeout", "SELECT sleepEachRow(1) FROM numbers(3)", []string{"max_execution_time", "1", "function_sleep_max_microseconds_per_block", "9000000"}, 408, 159},
		{"user", "SELECT 1", []string{"user", "alice"}, 403, 516},
		{"result too large for a document", "SELECT repeat(toString(number % 10), 1000000) FROM numbers(1000) FORMAT JSON", []string{"max_block_size", "8"}, 500, 396},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, base, strings.NewReader(test.statement), test.params...)
			if got.status != test.status || got.code() != strconv.Itoa(test.code) {
				t.Errorf("got %d, code %s, want %d, code %d: %s", got.status, got.code(), test.status, test.code, got.body)
			}
			want := regexp.MustCompile(fmt.Sprintf(`(?s)^Code: %d\. DB::Exception: .*\([A-Z_0-9]+\) \(version 2\d\.[^()]*\(embedded\)\)\n$`, test.code))
			if !want.MatchString(got.body) {
				t.Errorf("body %q", got.body)
			}
		})
	}
	if got := post(t, base, "SELECT 1"); got != "1\n" {
		t.Errorf("after the errors: %q", got)
	}
}

func TestGetOnlyReads(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE get_only_reads (a UInt8) ENGINE = MergeTree ORDER BY a")
	for _, session := range []string{"", "&session_id=get_only_reads"} {
		for statement, want := range map[string]string{
			"SELECT count() FROM get_only_reads":        "",
			"SET max_threads = 1":                       "",
			"INSERT INTO get_only_reads VALUES (1)":     "164",
			"INSERT INTO get_only_reads SELECT 1":       "164",
			"CREATE TABLE g2 (a UInt8) ENGINE = Memory": "164",
			"DROP TABLE get_only_reads":                 "164",
			"ALTER TABLE get_only_reads DELETE WHERE 1": "164",
		} {
			request := newRequest(t, http.MethodGet, base+"/?query="+url.QueryEscape(statement)+session, http.NoBody)
			got := do(t, request)
			if got.code() != want {
				t.Errorf("%s%s: code %q, want %q: %s", statement, session, got.code(), want, got.body)
			}
		}
	}
	post(t, base, "INSERT INTO get_only_reads VALUES (1)", "session_id", "get_only_reads")
	if got := post(t, base, "SELECT count() FROM get_only_reads"); got != "1\n" {
		t.Errorf("count %q, want 1", got)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	got := send(t, base, strings.NewReader("SELECT number FROM numbers(7) FORMAT JSON"), "query_id", "my-query")
	for name, want := range map[string]string{
		"Content-Type":          "application/json; charset=UTF-8",
		"X-ClickHouse-Format":   "JSON",
		"X-ClickHouse-Query-Id": "my-query",
		"X-ClickHouse-Timezone": "UTC",
	} {
		if value := got.header.Get(name); value != want {
			t.Errorf("%s: got %q, want %q", name, value, want)
		}
	}
	if got.header.Get("X-ClickHouse-Server-Display-Name") == "" {
		t.Error("no display name")
	}
	if summary := got.header.Get("X-ClickHouse-Summary"); !strings.Contains(summary, `"read_rows":"7"`) {
		t.Errorf("summary %s", summary)
	}
	post(t, base, "CREATE OR REPLACE TABLE headers (a UInt8) ENGINE = Memory")
	got = send(t, base, strings.NewReader("INSERT INTO headers VALUES (1), (2)"))
	if summary := got.header.Get("X-ClickHouse-Summary"); !strings.Contains(summary, `"written_rows":"2"`) {
		t.Errorf("summary of an insert %s", summary)
	}
}
