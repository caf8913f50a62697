package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/daemon"
)

func TestPeriodText(t *testing.T) {
	for _, text := range []string{"365d", "1d12h", "90d", "1s", "1h30m5s", "1s500ms", "29200d"} {
		d, err := parsePeriod(text)
		if got := periodText(d); err != nil || got != text {
			t.Errorf("periodText(%v) = %q, want %q (%v)", d, got, text, err)
		}
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_550_000: "1.6 MB", 2e12: "2000.0 GB"} {
		if got := sizeText(n); got != want {
			t.Errorf("sizeText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestParsePeriods(t *testing.T) {
	settings := retention{all: 365 * day, byTenant: map[string]time.Duration{"lab": 7 * day}}
	for _, tc := range []struct {
		args   string
		tenant string
		want   time.Duration
		where  string
	}{
		{"", "lab", 7 * day, "1"},
		{"", "acme", 365 * day, "1"},
		{"acme=90d", "acme", 90 * day, "tenant IN ('acme')"},
		{"acme=90d b=1d", "lab", 0, "tenant IN ('acme', 'b')"},
		{"acme=90d *=2w", "lab", 14 * day, "1"},
		{"acme=days=3;hours=1", "acme", 3*day + time.Hour, "tenant IN ('acme')"},
	} {
		p, err := parsePeriods(strings.Fields(tc.args), settings)
		if err != nil || p.of(tc.tenant) != tc.want || p.where() != tc.where {
			t.Errorf("%q: %s gets %v, %s (%v), want %v, %s", tc.args, tc.tenant, p.of(tc.tenant), p.where(), err, tc.want, tc.where)
		}
	}
	for _, args := range []string{"acme", "acme=", "acme=x", "a.b=1d", "acme=1d acme=2d", "*=1d *=1d", "=1d", "acme=0d"} {
		if _, err := parsePeriods(strings.Fields(args), settings); err == nil {
			t.Errorf("%q: want an error", args)
		}
	}
}

// stored is a row of a test, as the sink stores it.
type stored struct {
	tenant  string
	age     time.Duration // since its creation
	expires string        // members of the event that say when it expires
	user    string
}

// store puts rows into the table as the sink does, in one batch.
func store(t *testing.T, e *engine, settings retention, all ...stored) {
	t.Helper()
	if _, err := Migrate(t.Context(), e.settings()); err != nil {
		t.Fatal(err)
	}
	db, err := openClickHouse(t.Context(), e.settings(), newMetrics(daemon.NewTelemetry().Registry), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	mapper := newMapper(settings)
	now := time.Now().UTC()
	var batch []entry
	for i, s := range all {
		user := s.user
		if user == "" {
			user = "{}"
		}
		msg := message(fmt.Sprintf(`{"created":%q,"user":%s%s}`, now.Add(-s.age).Format(time.RFC3339Nano), user, s.expires))
		msg.subject = "events.clean." + s.tenant + ".login"
		msg.sequence, msg.storedAt = uint64(i+1), now
		r, err := mapper.row(msg)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, entry{row: r})
	}
	if err := db.insert(t.Context(), batch, fmt.Sprint(now)); err != nil {
		t.Fatal(err)
	}
}

// mixture has, of each tenant, rows that expire by retention, by themselves and never.
func mixture() []stored {
	var out []stored
	for _, tenant := range []string{"acme", "lab", "other"} {
		for days := range 20 {
			out = append(out, stored{tenant: tenant, age: time.Duration(days)*day + 30*time.Hour})
		}
		own := time.Now().UTC().Add(2 * day).Format(time.RFC3339)
		out = append(out, stored{tenant: tenant, age: 15 * day, expires: fmt.Sprintf(`,"expires":%q`, own)},
			stored{tenant: tenant, age: 15 * day, expires: `,"expiring":false`})
	}
	return out
}

const (
	everything    = "SELECT count(), groupBitXor(cityHash64(pk, expires, expiry, leaves, cohort)) FROM sluice.events"
	everyMutation = "SELECT count() FROM system.mutations WHERE database = 'sluice' AND table = 'events'"
)

func setRetention(t *testing.T, cfg Config, dryRun bool, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := SetRetention(t.Context(), cfg, args, dryRun, &out, &out); err != nil {
		t.Fatalf("set %q: %v\n%s", args, err, &out)
	}
	return out.String()
}

// unaligned drops the alignment of a text.
func unaligned(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestSetRetention(t *testing.T) {
	e := cleanEngine(t)
	settings := retention{all: 30 * day}
	store(t, e, settings, mixture()...)
	cfg := testConfig("nats://127.0.0.1:1", e.url)
	cfg.Retention = "30d"
	before := e.query(t, everything)

	dry := setRetention(t, cfg, true, "acme=10d", "lab=60d")
	if got := e.query(t, everything); got != before || e.query(t, everyMutation) != "0" {
		t.Errorf("a dry run changed %s to %s", before, got)
	}
	done := setRetention(t, cfg, false, "acme=10d", "lab=60d")
	for _, want := range []string{
		"acme 10d 20 9 11 ", "lab 60d 20 20 0 0 0 0 20 0 0 ",
		"RETENTION_BY_TENANT to acme=10d", "RETENTION_BY_TENANT to lab=60d",
	} {
		if !strings.Contains(unaligned(dry), want) || !strings.Contains(unaligned(done), want) {
			t.Errorf("want %q in the dry run\n%s\nand in the real one\n%s", want, dry, done)
		}
	}
	if want := "Done: 29 rows expire at another time now, 11 that had expired by then are removed."; !strings.Contains(done, want) {
		t.Errorf("want %q in\n%s", want, done)
	}
	for _, tc := range []struct{ what, query, want string }{
		{
			"rows", "SELECT tenant, expiry, count() FROM sluice.events GROUP BY ALL ORDER BY ALL",
			"acme\tretention\t9\nacme\town\t1\nacme\tnever\t1\nlab\tretention\t20\nlab\town\t1\nlab\tnever\t1\nother\tretention\t20\nother\town\t1\nother\tnever\t1",
		},
		{
			"periods", "SELECT tenant, groupUniqArray(intDiv(toUnixTimestamp(expires) - toUnixTimestamp(toDateTime(created)), 86400)) FROM sluice.events WHERE expiry = 'retention' GROUP BY tenant ORDER BY tenant",
			"acme\t[10]\nlab\t[60]\nother\t[30]",
		},
		{"leaving before it expires or much later", "SELECT count() FROM sluice.events WHERE expiry = 'retention' AND NOT (leaves >= expires AND leaves <= expires + 86400)", "0"},
		{"by hour", "SELECT count() FROM sluice.events WHERE tenant = 'acme' GROUP BY tenant, action, toStartOfHour(created) HAVING count() > 3", ""},
		{"pks", "SELECT count() = uniqExact(pk) FROM sluice.events", "1"},
	} {
		if got := e.query(t, tc.query); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.what, got, tc.want)
		}
	}

	after, mutations := e.query(t, everything), e.query(t, everyMutation)
	if again := setRetention(t, cfg, false, "acme=10d", "lab=60d"); !strings.Contains(again, "All rows agree with it already.") {
		t.Errorf("repeated, it says\n%s", again)
	}
	if got := e.query(t, everything); got != after || e.query(t, everyMutation) != mutations {
		t.Errorf("repeating it changed %s to %s", after, got)
	}
	setRetention(t, cfg, false) // back to what the settings say
	if got := e.query(t, "SELECT count() FROM sluice.events WHERE expiry = 'retention' AND abs(toUnixTimestamp(expires) - toUnixTimestamp(toDateTime(created)) - 30*86400) > 1"); got != "0" {
		t.Errorf("%s rows do not agree with the settings", got)
	}
}

// When it is interrupted, ClickHouse goes on; repeated, it waits for that.
func TestSetRetentionInterrupted(t *testing.T) {
	e := cleanEngine(t)
	store(t, e, retention{all: 30 * day}, mixture()...)
	cfg := testConfig("nats://127.0.0.1:1", e.url)
	cfg.Retention = "10d"
	e.query(t, "SYSTEM STOP MERGES sluice.events") // and mutations
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- SetRetention(ctx, cfg, nil, false, &bytes.Buffer{}, nil) }()
	eventuallyQuery(t, e, everyMutation+" AND NOT is_done", "2") // the two commands of one
	interrupt()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "run the command again") {
		t.Errorf("interrupted: %v", err)
	}
	e.query(t, "SYSTEM START MERGES sluice.events")
	setRetention(t, cfg, false)
	if got := e.query(t, "SELECT tenant, expiry, count() FROM sluice.events WHERE tenant = 'lab' GROUP BY ALL ORDER BY ALL"); got != "lab\tretention\t9\nlab\town\t1\nlab\tnever\t1" {
		t.Errorf("got\n%s", got)
	}
	if got := setRetention(t, cfg, false); !strings.Contains(got, "agree with it already") {
		t.Errorf("once more:\n%s", got)
	}
}

// The table's own expression of when a row leaves, the sink's and the one that changes
// it are one.
func TestLeavesAgree(t *testing.T) {
	e := cleanEngine(t)
	if _, err := Migrate(t.Context(), e.settings()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range leavings {
		got := e.query(t, fmt.Sprintf("WITH toDateTime64('%s', 6, 'UTC') AS stored_at SELECT %s",
			testStored.Format("2006-01-02 15:04:05.000000"), leaves(fmt.Sprintf("toDateTime('%s', 'UTC')", tc.expires))))
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// Whatever was created when, ClickHouse computes the expiry that the sink does.
func TestExpiresAgree(t *testing.T) {
	e := cleanEngine(t)
	settings := retention{all: 365 * day, byTenant: map[string]time.Duration{"lab": 1500 * time.Millisecond, "far": 80 * 365 * day}}
	m := newMapper(settings)
	for _, created := range []string{"1900-01-01 00:00:00.000001", "1969-12-31 23:59:59.999999", "2026-11-23 06:00:00.999999", "2026-11-23 06:00:00.500000", "2299-12-31 23:59:59.999999"} {
		at, err := time.Parse("2006-01-02 15:04:05.000000", created)
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"acme", "lab", "far"} {
			want, _ := m.expires(time.Time{}, at, tenant)
			got := e.query(t, fmt.Sprintf("WITH toDateTime64('%s', 6, 'UTC') AS created, '%s' AS tenant SELECT %s", created, tenant, settings.periods().expires()))
			if got != want.Format(time.DateTime) {
				t.Errorf("%s of %s: got %s, want %s", created, tenant, got, want.Format(time.DateTime))
			}
		}
	}
}

func TestShowRetention(t *testing.T) {
	e := cleanEngine(t)
	store(t, e, retention{all: 30 * day}, mixture()...)
	cfg := testConfig("nats://127.0.0.1:1", e.url)
	cfg.Retention, cfg.RetentionByTenant = "30d", "lab=7d"
	report, err := ShowRetention(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var text, program bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Retention in force: 30d (RETENTION); lab=7d (RETENTION_BY_TENANT)\n",
		"20 rows do not agree",
		"acme      0      0      1      20       0      0      0      1\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("want %q in\n%s", want, &text)
		}
	}
	if err := report.WriteJSON(&program); err != nil {
		t.Fatal(err)
	}
	var back RetentionReport
	if err := json.Unmarshal(program.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	lab := slices.IndexFunc(back.Tenants, func(t TenantReport) bool { return t.Tenant == "lab" })
	if lab < 0 || len(back.Tenants) != 3 {
		t.Fatalf("tenants %+v", back.Tenants)
	}
	if got := back.Tenants[lab]; got.Rows != 22 || got.OwnExpiry != 1 || got.Never != 1 || got.Differ != 20 || got.Retention != "7d" {
		t.Errorf("got %+v", got)
	}
	sum := uint64(0)
	for _, tenant := range back.Tenants {
		sum += tenant.Bytes
	}
	const onDisk = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'sluice' AND table = 'events' AND active"
	if total := count(t, e, onDisk); sum == 0 || sum > uint64(total) {
		t.Errorf("%d bytes of all tenants, want some and at most %d", sum, total)
	}
	leaveSum := uint64(0)
	for _, field := range back.Tenants[lab].Leave.fields() {
		leaveSum += *field
	}
	if leaveSum != 21 {
		t.Errorf("%d rows leave, want 21: %+v", leaveSum, back.Tenants[lab].Leave)
	}
}

func TestRetentionNeedsTheTable(t *testing.T) {
	e := cleanEngine(t)
	cfg := testConfig("nats://127.0.0.1:1", e.url)
	if _, err := ShowRetention(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "sink migrate") {
		t.Errorf("without a table: %v", err)
	}
	cfg.ClickHouseURL = "http://" + freeAddress(t)
	if err := SetRetention(t.Context(), cfg, nil, false, &bytes.Buffer{}, nil); err == nil || !strings.Contains(err.Error(), "set CLICKHOUSE_URL") {
		t.Errorf("without ClickHouse: %v", err)
	}
}
