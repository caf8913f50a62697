package notifier

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

var updateGolden = flag.Bool("update", false, "write the golden files")

const goldenEvent = `{"pk":"2779b173-eb2a-4c2b-a1a4-8283eda308d7","user":{},"action":"system_exception","app":"billing",` +
	`"context":{"message":"amount 17 is too <small>","exception":[{"exc_type":"ValueError","exc_value":"amount 17 is too <small>",` +
	`"frames":[{"filename":"/app/billing/views.py","lineno":42,"name":"charge"}]}]},"client_ip":null,"created":"2026-03-01T11:59:59.5Z","brand":{}}`

// TestGolden compares what goes over the wire with what was agreed on.
func TestGolden(t *testing.T) {
	o := observe(t, "system_exception", goldenEvent)
	o.traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	g := &group{}
	g.fold(o, storedAt, testTiming)
	again := *o
	again.sequence++
	g.fold(&again, storedAt, testTiming)
	stored, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	firing := g.Pending[0]
	g.Pending = nil
	g.due(storedAt.Add(5*time.Minute), testTiming)
	update := g.Pending[0]

	for name, alert := range map[string]schemas.Alert{"firing": firing.Alert, "update": update.Alert} {
		msg, err := (&transition{Alert: alert, TraceParent: firing.TraceParent}).msg()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "alert-"+name+".json", msg.Data)
		if msg.Subject != "alerts.default.alert.system_exception" || msg.Header.Get(nats.MsgIdHdr) != alert.ID ||
			msg.Header.Get("traceparent") != o.traceParent || msg.Header.Get("Content-Type") != "application/cloudevents+json" {
			t.Errorf("%s: subject %s, header %v", name, msg.Subject, msg.Header)
		}
	}
	golden(t, "group.json", stored)
}

// TestGoldenStorm is the alert of a storm, with receivers, and how the store holds it.
func TestGoldenStorm(t *testing.T) {
	timing := testTiming
	timing.stormLimit = 10
	o := observe(t, "system_exception", goldenEvent)
	g := &group{Storm: &storm{}}
	key := o.stormKey(false)
	g.key = key
	g.grants(o.key, storedAt.Add(stormWindow), storedAt, 10)
	storming := o.storm(key, 10)
	storming.receivers = []string{"oncall", "security"}
	g.fold(storming, storedAt, timing)
	other := observe(t, "system_exception", messageEvent("billing", "the other one")).storm(key, 10)
	other.sequence++
	g.fold(other, storedAt.Add(time.Second), timing)
	if !g.due(storedAt.Add(time.Second+stormSettle), timing) {
		t.Fatal("nothing was told")
	}
	msg, err := g.Pending[0].msg()
	if err != nil {
		t.Fatal(err)
	}
	if got := msg.Header.Get("Sluice-Receivers"); got != `["oncall","security"]` {
		t.Errorf("receivers %s", got)
	}
	golden(t, "alert-storm.json", msg.Data)
	stored, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "group-storm.json", stored)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "  "); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	indented.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(indented.Bytes(), want) {
		t.Errorf("%s\n got %s\nwant %s", name, indented.Bytes(), want)
	}
}

func TestShrunkAlertsAreSmall(t *testing.T) {
	o := observe(t, "system_exception", messageEvent("a", string(bytes.Repeat([]byte("long "), 5000))))
	g := &group{}
	g.fold(o, storedAt, testTiming)
	msg, err := (&transition{Alert: shrink(g.Pending[0].Alert)}).msg()
	if err != nil {
		t.Fatal(err)
	}
	if len(msg.Data) > 2<<10 {
		t.Errorf("%d bytes", len(msg.Data))
	}
}
