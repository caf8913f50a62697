package redactor

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// TestPoison publishes what no well-behaved client sends, straight to the
// broker: whatever of it the raw stream takes, the good events after it pass.
func TestPoison(t *testing.T) {
	b := startBroker(t)
	b.run()
	for _, m := range []*nats.Msg{
		{Subject: "events.raw.*.login", Data: []byte(`{}`)},
		{Subject: "events.raw.>.login", Data: []byte(`{}`)},
		{Subject: "events.raw.$SYS.login", Data: []byte(`{}`)},
		{Subject: "events.raw.t.*", Data: []byte(`{}`)},
		{Subject: "events.raw." + strings.Repeat("t", 3000) + ".login", Data: []byte(`{}`)},
		{Subject: "events.raw.t." + strings.Repeat("a", 3000), Data: []byte(`{}`)},
		{Subject: "events.raw.t.\xff\xfe", Data: []byte(`{}`)},
		{Subject: "events.raw.\xff.login", Data: []byte(`{}`)},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"503"}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"100"}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"404"}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"x"}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"400"}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Status": {"999"}, "Description": {planted}}},
		{Subject: "events.raw.t.login", Header: nats.Header{"Nats-Pin-Id": {"x"}}, Data: []byte(`{}`)},
		{Subject: "events.raw.t.login", Header: nats.Header{"Nats-Rollup": {"all"}}, Data: []byte(`{}`)},
		{Subject: "events.raw.t.login", Header: nats.Header{"Nats-Batch-Id": {"x"}, "Nats-Batch-Sequence": {"1"}, "Nats-Batch-Commit": {"1"}}, Data: []byte(`{}`)},
		{Subject: "events.raw.t.login", Header: nats.Header{"Nats-TTL": {"1s"}, "X": {"a\r\nb"}}, Data: []byte(`[]`)},
		{Subject: "events.raw.t.login", Header: nats.Header{"Big": {strings.Repeat("h", 200_000)}}, Data: []byte(`[]`)},
	} {
		if err := b.conn.NC.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.conn.NC.Flush(); err != nil {
		t.Fatal(err)
	}
	b.publish(logins(10)...)
	eventually(t, "all have gone somewhere", func() bool {
		b.impatient()
		return b.count(schemas.StreamRaw) == 0
	})
	status := 0
	for _, m := range b.all(schemas.StreamQuarantine) {
		if m.Header.Get(headerRawStatus) != "" {
			status++
			if m.Header.Get(headerStatus) != "" || m.Header.Get(schemas.HeaderReason) != string(schemas.ReasonInvalidJSON) {
				t.Errorf("quarantined with %v", m.Header)
			}
		}
	}
	if status != 7 {
		t.Errorf("%d messages that look like the broker's are quarantined, want 7", status)
	}
	var good []*jetstream.RawStreamMsg
	for _, m := range b.all(schemas.StreamClean) {
		if m.Subject == "events.clean.default.login" {
			good = append(good, m)
		}
	}
	exactlyOnce(t, 10, good)
}
