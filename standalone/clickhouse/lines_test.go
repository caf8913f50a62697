package clickhouse

import (
	"bytes"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestLineWriter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLineBytes+100)
	for name, pieces := range map[string][]string{
		"whole":      {"one\ntwo\n" + long + "\n"},
		"in pieces":  {"o", "ne\nt", "wo", "\n" + long[:50], long[50:], "\n"},
		"no end yet": {"one\ntwo\n" + long + "\nmore"},
	} {
		var got []string
		writer := &lineWriter{line: func(line string) { got = append(got, line) }}
		for _, piece := range pieces {
			if n, err := writer.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Errorf("%s: wrote %d, %v", name, n, err)
			}
		}
		if want := []string{"one", "two", long[:maxLineBytes]}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %d lines", name, len(got))
		}
	}
}

func TestForwardRecord(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"time":"2026-01-01T00:00:00Z","level":"WARN","msg":"hello","b":1,"a":"x"}`: "level=WARN msg=hello a=x b=1\n",
		`{"level":"INFO+2","msg":"between"}`:                                         "level=INFO+2 msg=between\n",
		`{"level":"LOUD","msg":"x"}`:                                                 "",
		`{"msg":"no level"}`:                                                         "",
		`panic: x`:                                                                   "",
		`[1]`:                                                                        "",
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		if ok := forwardRecord(log, line); ok != (want != "") || out.String() != want {
			t.Errorf("%s: %t, %q, want %q", line, ok, out.String(), want)
		}
	}
}
