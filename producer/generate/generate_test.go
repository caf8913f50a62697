package generate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"sluice/producer/generate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// take makes the first n events of cfg.
func take(cfg generate.Config, n int) []generate.Event {
	g := generate.New(cfg)
	events := make([]generate.Event, n)
	for i := range events {
		events[i] = g.Next()
	}
	return events
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is generated now; the same seed must give the same bytes for good", path)
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	for _, e := range take(generate.Config{Seed: 1}, 30) {
		lines.Write(e.JSON)
		lines.WriteByte('\n')
	}
	golden(t, "seed1.ndjson", lines.Bytes())
}

func TestSameSeedSameSecrets(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	for i, e := range take(generate.Config{Seed: 1, SecretRate: 1}, 30) {
		for _, s := range e.Secrets {
			fmt.Fprintf(&lines, "%d\t%s\t%s\t%s\t%s\t%s\n", i, e.Action, s.Carrier, s.Pointer, s.Value, s.Encoded)
		}
	}
	golden(t, "seed1-secrets.tsv", lines.Bytes())
}

func TestTwoGeneratorsAgreeAndOtherSeedsDiffer(t *testing.T) {
	t.Parallel()
	a, b, other := take(generate.Config{Seed: 7}, 2000), take(generate.Config{Seed: 7}, 2000), take(generate.Config{Seed: 8}, 2000)
	for i := range a {
		if !bytes.Equal(a[i].JSON, b[i].JSON) {
			t.Fatalf("event %d differs between two generators of one seed", i)
		}
		if a[i].PK == other[i].PK {
			t.Fatalf("event %d has the same pk for two seeds", i)
		}
	}
}

// The secret rate must change nothing but the secrets, or a run could not be
// compared with the same run without them.
func TestSecretRateChangesNothingElse(t *testing.T) {
	t.Parallel()
	none, all := take(generate.Config{Seed: 3, SecretRate: -1}, 3000), take(generate.Config{Seed: 3, SecretRate: 1}, 3000)
	for i := range none {
		if len(none[i].Secrets) != 0 || len(all[i].Secrets) == 0 {
			t.Fatalf("event %d: %d secrets at no rate, %d at full rate", i, len(none[i].Secrets), len(all[i].Secrets))
		}
		if none[i].PK != all[i].PK || none[i].Action != all[i].Action {
			t.Fatalf("event %d: %s %s at no rate, %s %s at full rate", i, none[i].PK, none[i].Action, all[i].PK, all[i].Action)
		}
	}
}

type envelope struct {
	PK       string                     `json:"pk"`
	User     map[string]json.RawMessage `json:"user"`
	Action   string                     `json:"action"`
	App      string                     `json:"app"`
	Context  map[string]json.RawMessage `json:"context"`
	ClientIP *string                    `json:"client_ip"`
	Created  string                     `json:"created"`
	Expires  *string                    `json:"expires"`
	Brand    map[string]string          `json:"brand"`
}

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

var microseconds = regexp.MustCompile(`\.\d{6}Z$`)

// check decodes an event and says what is wrong with it.
func check(e generate.Event) (envelope, error) {
	var got envelope
	decoder := json.NewDecoder(bytes.NewReader(e.JSON))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		return got, fmt.Errorf("decode event: %w", err)
	}
	switch {
	case decoder.More() || bytes.ContainsAny(e.JSON, "\n\r"):
		return got, fmt.Errorf("event is not one line: %s", e.JSON)
	case got.PK != e.PK || !uuid7.MatchString(e.PK):
		return got, fmt.Errorf("pk %q in the event, %q beside it", got.PK, e.PK)
	case got.Action != e.Action:
		return got, fmt.Errorf("action %q in the event, %q beside it", got.Action, e.Action)
	case got.App == "" || got.User == nil || got.Context == nil || got.Brand["model_name"] != "brand":
		return got, fmt.Errorf("event lacks a field: %s", e.JSON)
	case !microseconds.MatchString(got.Created):
		return got, fmt.Errorf("created %q has no microseconds in UTC", got.Created)
	}
	if got.ClientIP != nil {
		if err := documentationAddress(*got.ClientIP); err != nil {
			return got, err
		}
	}
	if got.Expires != nil {
		if _, err := time.Parse(time.RFC3339, *got.Expires); err != nil {
			return got, fmt.Errorf("parse expires: %w", err)
		}
	}
	return got, uniqueKeys(e.JSON)
}

func documentationAddress(text string) error {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("parse client_ip: %w", err)
	}
	if ip.String() != text {
		return fmt.Errorf("client_ip %q is not in its usual form, %q", text, ip)
	}
	for _, block := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if netip.MustParsePrefix(block).Contains(ip) {
			return nil
		}
	}
	return fmt.Errorf("client_ip %s is not for documentation", ip)
}

// uniqueKeys refuses an object that has a key twice, at any depth.
func uniqueKeys(event []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(event))
	var open []map[string]bool // nil for a list
	isKey := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		switch token {
		case json.Delim('{'):
			open, isKey = append(open, map[string]bool{}), true
			continue
		case json.Delim('['):
			open, isKey = append(open, nil), false
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if isKey {
				key, _ := token.(string)
				if keys := open[len(open)-1]; keys[key] {
					return fmt.Errorf("key %q twice in %s", key, event)
				}
				open[len(open)-1][key], isKey = true, false
				continue
			}
		}
		isKey = len(open) > 0 && open[len(open)-1] != nil
	}
}

func TestEventsAreValid(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 1} {
		pks := map[string]bool{}
		created, pk := "", ""
		for i, e := range take(generate.Config{Seed: 11, SecretRate: rate}, 5000) {
			got, err := check(e)
			if err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
			if got.Created <= created || e.PK <= pk || pks[e.PK] {
				t.Fatalf("event %d: created %s after %s, pk %s after %s", i, got.Created, created, e.PK, pk)
			}
			created, pk, pks[e.PK] = got.Created, e.PK, true
		}
	}
}

func TestStartAndInterval(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, time.May, 6, 7, 8, 9, 123456789, time.FixedZone("", 3600))
	const n, interval = 5000, 10 * time.Millisecond
	events := take(generate.Config{Start: start, Interval: interval}, n)
	var first, last time.Time
	for i, e := range events {
		got, err := check(e)
		if err != nil {
			t.Fatal(err)
		}
		last, err = time.Parse(time.RFC3339, got.Created)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = last
		}
	}
	if gap := first.Sub(start); gap <= -time.Microsecond || gap > 2*interval+time.Microsecond {
		t.Errorf("first event %s after the start, want at most two intervals", gap)
	}
	if mean := last.Sub(first) / n; mean < interval*9/10 || mean > interval*11/10 {
		t.Errorf("mean interval %s, want about %s", mean, interval)
	}
}

func TestEveryWindowHoldsEveryAction(t *testing.T) {
	t.Parallel()
	const window = 500
	names := generate.Actions()
	if len(names) != 24 {
		t.Fatalf("%d actions, want 24", len(names))
	}
	for seed := range uint64(10) {
		events := take(generate.Config{Seed: seed}, 10_000)
		first := map[string]int{}
		last := map[string]int{}
		for i, e := range events {
			if _, seen := first[e.Action]; !seen {
				first[e.Action] = i
			}
			if gap := i - last[e.Action]; gap > window {
				t.Errorf("seed %d: no %s in the %d events before number %d", seed, e.Action, gap, i)
			}
			last[e.Action] = i
		}
		for _, name := range names {
			if at, seen := first[name]; !seen || at >= len(names) {
				t.Errorf("seed %d: first %s at %d, want among the first %d", seed, name, at, len(names))
			}
			if gap := len(events) - last[name]; gap > window {
				t.Errorf("seed %d: no %s in the last %d events", seed, name, gap)
			}
		}
	}
}

// Sizes matter to whoever measures with these events: about 1 KB each.
func TestSizes(t *testing.T) {
	t.Parallel()
	var sizes []int
	byAction := map[string][]int{}
	for _, e := range take(generate.Config{Seed: 5}, 20_000) {
		sizes = append(sizes, len(e.JSON))
		byAction[e.Action] = append(byAction[e.Action], len(e.JSON))
	}
	slices.Sort(sizes)
	at := func(percent int) int { return sizes[(len(sizes)-1)*percent/100] }
	t.Logf("bytes: min %d, p10 %d, median %d, p90 %d, p99 %d, max %d", at(0), at(10), at(50), at(90), at(99), at(100))
	for _, name := range generate.Actions() {
		s := byAction[name]
		slices.Sort(s)
		t.Logf("%-28s %5.2f %%  median %d bytes", name, 100*float64(len(s))/float64(len(sizes)), s[len(s)/2])
	}
	if median := at(50); median < 700 || median > 1400 {
		t.Errorf("median event has %d bytes, want 700 to 1400", median)
	}
	if at(0) < 300 || at(100) > 8192 {
		t.Errorf("events have %d to %d bytes, want 300 to 8192", at(0), at(100))
	}
}

func FuzzSeed(f *testing.F) {
	for _, seed := range []uint64{0, 1, 42, 1 << 63, 1<<64 - 1} {
		f.Add(seed, int64(0), int64(0), 1.0)
		f.Add(seed, int64(1_900_000_000), int64(time.Millisecond), 0.5)
	}
	f.Fuzz(func(t *testing.T, seed uint64, start, interval int64, rate float64) {
		cfg := generate.Config{Seed: seed, Interval: time.Duration(interval), SecretRate: rate}
		// 1970 to 9999 even with the longest interval, 292 years, times the events below.
		if start > 0 && start < 1<<36 {
			cfg.Start = time.Unix(start, 0)
		}
		cfg.Interval %= 365 * 24 * time.Hour
		for i, e := range take(cfg, 60) {
			if _, err := check(e); err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
			if err := holdsItsSecrets(e); err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, rate := range []float64{-1, 0, 1} {
		b.Run(fmt.Sprintf("secrets=%g", rate), func(b *testing.B) {
			g := generate.New(generate.Config{Seed: 1, SecretRate: rate})
			b.ReportAllocs()
			var size int64
			for b.Loop() {
				size += int64(len(g.Next().JSON))
			}
			b.SetBytes(size / int64(b.N))
		})
	}
}
