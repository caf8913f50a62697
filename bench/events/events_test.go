package events

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"sluice/producer/generate"
	"sluice/schemas"
)

func TestPool(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10_000, 100_000} {
		p, err := NewPool(50, size, 7, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		seen, last := map[string]bool{}, ""
		var decoder schemas.Decoder
		for range 3000 {
			ev := p.Next()
			if seen[ev.PK] || ev.PK <= last {
				t.Fatalf("%s comes again or after %s", ev.PK, last)
			}
			seen[ev.PK], last = true, ev.PK
			if len(ev.JSON) < size || len(ev.JSON) > size+5000 {
				t.Fatalf("%d bytes, want %d and not much more", len(ev.JSON), size)
			}
			if len(seen) > 100 {
				continue
			}
			var event schemas.Event
			if err := decoder.Decode(ev.JSON, &event); err != nil || event.PK.String() != ev.PK || event.Action != ev.Action {
				t.Fatalf("got %v, pk %s for %s", err, event.PK, ev.PK)
			}
		}
		if p.MeanBytes() < size {
			t.Errorf("mean %d, want at least %d", p.MeanBytes(), size)
		}
	}
}

func TestTwoPoolsShareNoID(t *testing.T) {
	t.Parallel()
	start := time.Now()
	seen := map[string]bool{}
	for seed := range uint64(4) {
		p, err := NewPool(10, 0, seed, start)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			seen[p.Next().PK] = true
		}
	}
	if len(seen) != 4000 {
		t.Errorf("got %d different ids of 4000", len(seen))
	}
}

func TestWriteLines(t *testing.T) {
	t.Parallel()
	p, err := NewPool(10, 0, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.WriteLines(&out, 25); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	if len(lines) != 25 {
		t.Fatalf("got %d lines", len(lines))
	}
	for _, line := range append(lines, Probe(3, time.Now()).JSON) {
		if !json.Valid(line) {
			t.Fatal("a line is no JSON")
		}
	}
}

func TestRedactedPoolHoldsNoSecret(t *testing.T) {
	t.Parallel()
	p, err := NewPool(500, 0, 7, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Redact(); err != nil {
		t.Fatal(err)
	}
	masked := 0
	for range 500 {
		ev := p.Next()
		if bytes.Contains(ev.JSON, []byte(generate.Marker(7))) {
			t.Fatal("a secret is left")
		}
		// The other way round is no rule: authentik masks some values by itself.
		if ev.Redacted != "" && !bytes.Contains(ev.JSON, []byte(schemas.Mask)) {
			t.Errorf("the header says that something was masked")
		}
		if ev.Redacted != "" {
			masked++
		}
	}
	if masked < 5 {
		t.Errorf("%d of 500 events had a secret", masked)
	}
}
