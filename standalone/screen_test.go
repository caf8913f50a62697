package standalone

import (
	"bytes"
	"strings"
	"testing"

	"sluice/producer/generate"
	"sluice/schemas"
)

func TestExcerptShowsTheSecretAndThenTheMask(t *testing.T) {
	t.Parallel()
	before, after := `{"context":{"username":"ümläut","`+strings.Repeat("x", 50)+`":1,"password":"`, `","stage":{"name":"default"}},"action":"login_failed"}`
	ev := generate.Event{JSON: []byte(before + "s3cr-1" + after), Secrets: []generate.Secret{{Value: "s3cr-1", Encoded: "s3cr-1"}}}
	e, ok := excerptOf(ev)
	if !ok || !strings.Contains(e.raw, `"password":"s3cr-1","stage"`) {
		t.Errorf("published: got %q", e.raw)
	}
	if got := e.of([]byte(before + schemas.Mask + after)); !strings.Contains(got, `"password":"`+schemas.Mask+`","stage"`) {
		t.Errorf("redacted: got %q", got)
	}
	if got := e.of([]byte(`{}`)); got != "……" && got != "…{}…" {
		t.Errorf("a shorter event: got %q", got)
	}
	if _, ok := excerptOf(generate.Event{JSON: []byte(`{}`)}); ok {
		t.Error("an event without a secret has no excerpt")
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, want string
		width      int
	}{
		{"short", "short", 20},
		{"0123456789012345678901234", "0123456789012345678…", 20},
		{"\x1b[31mred\nline\u202e", " [31mred line ", 40},
		{"üüüüüüüüüüüüüüüüüüüüüü", "üüüüüüüüüüüüüüüüüüü…", 3},
	} {
		if got := cut(tt.text, tt.width); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestNextNamesOtherAddresses(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{w: &out, width: plainWidth}
	s.next(endpoints{NATS: defaultNATS, ClickHouse: "http://127.0.0.1:8123"})
	if strings.Contains(out.String(), "NATS_URL") {
		t.Errorf("the default address needs no setting:\n%s", &out)
	}
	out.Reset()
	s.next(endpoints{NATS: "nats://127.0.0.1:4333", ClickHouse: "clickhouse://127.0.0.1:9000"})
	for _, want := range []string{"NATS_URL=nats://127.0.0.1:4333 bin/producer", "NATS_URL=nats://127.0.0.1:4333 bin/notifier watch", "clickhouse client"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, &out)
		}
	}
}
