package clickhouse

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestFormats compares a streamed result with one that the engine formats whole.
func TestFormats(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	const rows = 200_000 // several pieces
	query := fmt.Sprintf("SELECT number AS `a\n\"b`, toString(number) AS c FROM numbers(%d)", rows)
	for _, format := range []string{
		"TSV", "TSVWithNames", "TSVWithNamesAndTypes", "CSV", "CSVWithNames", "CSVWithNamesAndTypes", "JSONEachRow", "JSONCompactEachRow",
		"JSONCompactEachRowWithNames", "JSONCompactEachRowWithNamesAndTypes", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes",
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			streamed := post(t, base, query+" FORMAT "+format)
			if whole := post(t, base, query+" FORMAT "+format+" SETTINGS max_block_size = "+strconv.Itoa(rows)+", max_threads = 1"); whole != streamed {
				t.Errorf("%d bytes streamed, %d bytes in one block", len(streamed), len(whole))
			}
		})
	}
	for format, want := range map[string]string{
		"JSONCompact": `"rows": 3`, "XML": "<rows>3</rows>", "Values": "(0),(1),(2)", "Vertical": "Row 3:", "Markdown": "| 2 |", "PrettyCompact": "2 │", "JSONColumns": "[0, 1, 2]",
	} {
		if got := post(t, base, "SELECT toUInt8(number) AS n FROM numbers(3) FORMAT "+format, "max_block_size", "1"); !strings.Contains(got, want) {
			t.Errorf("%s: %q lacks %q", format, got, want)
		}
	}
}

func TestContentEncodings(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE encodings (a String) ENGINE = Memory")
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	fmt.Fprint(writer, "INSERT INTO encodings FORMAT TSV\nin gzip\n")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	request := newRequest(t, http.MethodPost, base, &packed)
	request.Header.Set("Content-Encoding", "gzip")
	if got := do(t, request); got.status != http.StatusOK {
		t.Fatalf("insert in gzip: %s", got.body)
	}
	request = newRequest(t, http.MethodPost, base, strings.NewReader("SELECT * FROM encodings"))
	request.Header.Set("Accept-Encoding", "zstd")
	got := do(t, request)
	decoder, err := zstd.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	text, err := io.ReadAll(decoder)
	if err != nil || string(text) != "in gzip\n" || got.header.Get("Content-Encoding") != "zstd" {
		t.Errorf("got %q, %v, encoding %q", text, err, got.header.Get("Content-Encoding"))
	}
	request = newRequest(t, http.MethodPost, base, strings.NewReader("x"))
	request.Header.Set("Content-Encoding", "unheard-of")
	if got = do(t, request); got.status != http.StatusNotImplemented {
		t.Errorf("unheard-of encoding: %d %s", got.status, got.body)
	}
}

// TestLargeResultStreams reads more than the engine may hold.
func TestLargeResultStreams(t *testing.T) {
	t.Parallel()
	base := startSmall(t).URL()
	const rows, width = 500, 1_000_000
	statement := fmt.Sprintf("SELECT repeat('x', %d) FROM numbers(%d) FORMAT RowBinary SETTINGS max_block_size = 8, max_threads = 1", width, rows)
	request := newRequest(t, http.MethodPost, base, strings.NewReader(statement))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	n, err := io.Copy(io.Discard, response.Body)
	if want := int64(rows * (width + 3)); n != want || err != nil {
		t.Errorf("got %d bytes, %v, want %d", n, err, want)
	}
}

// TestLateError is an error after the status has been sent: the body ends with
// an exception block and the connection breaks off.
func TestLateError(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	const statement = "SELECT throwIf(number = 3000000), repeat('x', 10) FROM numbers(10000000) SETTINGS max_threads = 1"
	request := newRequest(t, http.MethodPost, base, strings.NewReader(statement))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	tag := response.Header.Get("X-ClickHouse-Exception-Tag")
	if response.StatusCode != http.StatusOK || err == nil {
		t.Errorf("status %d, body ended with %v", response.StatusCode, err)
	}
	tail := string(body[max(0, len(body)-1000):])
	if !strings.Contains(tail, "\r\n__exception__\r\n"+tag+"\r\nCode: 395.") || !strings.HasSuffix(tail, " "+tag+"\r\n__exception__\r\n") {
		t.Errorf("tag %s, body ends with %q", tag, tail)
	}
	whole := send(t, base, strings.NewReader(statement), "wait_end_of_query", "1")
	if whole.status != http.StatusInternalServerError || whole.code() != "395" {
		t.Errorf("with wait_end_of_query: %d, %.100q", whole.status, whole.body)
	}
}

func TestQueryTextLimits(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	list := "SELECT 1 WHERE 5 IN (" + strings.Repeat("1234567,", 200_000) + "5)" // 1.6 MB
	got := send(t, base, strings.NewReader(list))
	if got.code() != "62" {
		t.Errorf("beyond max_query_size: code %q, want 62", got.code())
	}
	if got := post(t, base, list, "max_query_size", "10000000", "max_ast_elements", "1000000", "max_expanded_ast_elements", "1000000"); got != "1\n" {
		t.Errorf("with a larger max_query_size: %q", got)
	}
	got = send(t, base, strings.NewReader("SELECT '"+strings.Repeat("x", 17<<20)+"'"), "max_query_size", "100000000")
	if got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("17 MiB: %d, want 413", got.status)
	}
}
