package redact

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// benchEvents is how many different events a benchmark goes through.
const benchEvents = 1024

// kilobytes are events of 1 KB: authentik's example, with the members that real
// ones have besides. Each has identifiers, times and an address of its own, and is
// of one of a hundred people.
func kilobytes(tb testing.TB, secrets bool) [][]byte {
	tb.Helper()
	event, err := os.ReadFile("testdata/authorize_application.compact.json")
	if err != nil {
		tb.Fatal(err)
	}
	more := `"context":{"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.%[1]d","request_id":"dd8c847ae65f4bd8b8f9b4a22c08%04[2]x",`
	if secrets {
		more += `"password":"made-up-%04[2]x","nested":{"client_secret":"made-up-%04[2]x"},"url":"/x?next=/&token=made-up-%04[2]x",`
	}
	text := strings.NewReplacer(
		`"context":{`, more, "ad5af90bf680", "ad5af90b%04[2]x", "root@localhost", "user%[1]d@localhost",
		"akadmin", "user%[1]d", "cb602a84282f", "cb602a84%04[2]x", `"::1"`, `"2001:db8::%[2]x"`,
		"10:02:48.615499Z", "10:02:48.61%04[2]dZ", "10:02:48.612809Z", "10:02:48.61%04[2]dZ",
	).Replace(string(bytes.TrimSpace(event)))
	events := make([][]byte, benchEvents)
	for i := range events {
		events[i] = fmt.Appendf(nil, text, i%100, i)
	}
	return events
}

func BenchmarkRedact(b *testing.B) {
	for _, bench := range []struct {
		name   string
		events [][]byte
		run    func(*Engine, []byte, []byte) (Result, error)
	}{
		{"clean", kilobytes(b, false), (*Engine).Redact},
		{"three_secrets", kilobytes(b, true), (*Engine).Redact},
		{"clean_without_contract", kilobytes(b, false), (*Engine).RedactJSON},
		{"three_secrets_without_contract", kilobytes(b, true), (*Engine).RedactJSON},
	} {
		b.Run(bench.name, func(b *testing.B) {
			engine := newEngine(b)
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.events[0])))
			for i := 0; b.Loop(); i++ {
				if _, err := bench.run(engine, dst, bench.events[i%benchEvents]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func newEngine(tb testing.TB) *Engine {
	tb.Helper()
	engine, err := New(Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return engine
}

// BenchmarkHostile repeats fragments that have brought other readers to their
// knees: the time per byte must not grow with the size.
func BenchmarkHostile(b *testing.B) {
	for _, fragment := range []struct{ name, before, repeat, after string }{
		{"open_arrays", "", `[{"":`, ""},
		{"deep_keys", `{"a":`, `{"key":[`, "1"},
		{"escaped_key", `{"`, `\u0070`, `":1}`},
		{"percent", `{"query":"`, `%25%32%35`, `"}`},
		{"names", `{"query":"`, `key=`, `"}`},
		{"parameters", `{"query":"`, `key=a&`, `"}`},
		{"encoded_parameters", `{"query":"`, `%256bey%253Da%2526`, `"}`},
		{"json_escapes", `{"query":"`, `\u006bey=\ud83d\ude00&`, `"}`},
		{"jwt", `{"token":"`, `eyJ`, `"}`},
		{"token_beginnings", `{"x":"`, `xoxb-`, `"}`},
		{"names_in_a_form", `{"query":"`, `state=`, `"}`},
		{"open_quotes", `{"x":"`, `{\"key\":[#`, `"}`},
		{"headers", `{"x":"`, `Cookie: `, `"}`},
		{"inserts", `{"x":"`, `into t(password)values('`, `"}`},
		{"columns", `{"x":"`, `into t(a,`, `"}`},
		{"rows", `{"x":"insert into t (password) values (`, `'a'),(`, `"}`},
		{"bound", `{"x":"`, `parameters: (?`, `"}`},
		{"hashes", `{"x":"`, `$2b$1`, `"}`},
		{"password_file", `{"x":"`, `:5432:a:b`, `"}`},
		{"emphasis", `{"x":"`, `*key`, `"}`},
		{"members", `{"x":0`, `,"key":1`, `}`},
		{"list", `{"password":[0`, `,1`, `]}`},
	} {
		for _, size := range []int{4 << 10, 40 << 10, 400 << 10} {
			text := []byte(fragment.before + strings.Repeat(fragment.repeat, size/len(fragment.repeat)) + fragment.after)
			b.Run(fragment.name+"/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
				engine, dst := newEngine(b), make([]byte, 0, 12*len(text))
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					_, _ = engine.Redact(dst, text) // some are refused, which must be as cheap
				}
			})
		}
	}
}
