package intake

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
)

// The ids are a promise to whoever repeats a run with a later version: these
// values never change.
func TestIdentity(t *testing.T) {
	acme, other := NewIdentity("acme"), NewIdentity("other")
	for i, step := range []struct {
		identity *Identity
		event    string
		want     string
	}{
		{acme, `{"action":"login"}`, "30a7c0b8-4604-5d43-bd3f-f26f75fe9800"},
		{acme, `{"action":"login"}`, "aa1cfde9-c9d8-569c-bb99-d311019550f7"},
		{acme, `{"action":"login"}`, "24371bf0-1924-5fbc-bc64-ea1c1fd92808"},
		{acme, `{"action":"login" }`, "88962ab0-c0cc-50b5-a981-623bf2fe3dab"},
		{other, `{"action":"login"}`, "1840265f-9fc3-50e5-8316-1bd5ac4e7022"},
		{NewIdentity("acme"), `{"action":"login"}`, "30a7c0b8-4604-5d43-bd3f-f26f75fe9800"},
	} {
		got := step.identity.PK([]byte(step.event))
		if got.String() != step.want {
			t.Errorf("step %d: got %s, want %s", i, got, step.want)
		}
		if got.Version() != 5 || got.Variant() != uuid.RFC4122 {
			t.Errorf("step %d: %s is no UUIDv5", i, got)
		}
	}
}

func TestIdentityBeyondWhatItCountsOneByOne(t *testing.T) {
	run := func() []uuid.UUID {
		d := NewIdentity("acme")
		for hash := range uint64(maxExact) {
			d.exact[hash] = 1
		}
		var out []uuid.UUID
		for i := range 5000 {
			out = append(out, d.PK([]byte(fmt.Sprint("event ", i%100))))
		}
		if len(d.exact) > maxExact {
			t.Errorf("it counts %d events one by one", len(d.exact))
		}
		return out
	}
	first, seen := run(), map[uuid.UUID]bool{}
	for i, pk := range run() {
		if pk != first[i] {
			t.Fatalf("event %d: %s in the second run, %s in the first", i, pk, first[i])
		}
		if seen[pk] {
			t.Fatalf("event %d: %s is another's", i, pk)
		}
		seen[pk] = true
	}
}

func BenchmarkIdentity(b *testing.B) {
	d, event := NewIdentity("acme"), make([]byte, 1024)
	b.SetBytes(int64(len(event)))
	for i := 0; b.Loop(); i++ {
		event[i%1024]++
		d.PK(event)
	}
}
