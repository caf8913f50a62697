package sink

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Rows that expire leave as whole parts, whatever the tenants' retentions and the
// events' own expiries: no row that stays is read or written for it. ClickHouse before
// 26.8 reads the parts that it drops once.
func TestExpiryDropsWholeParts(t *testing.T) {
	e := cleanEngine(t)
	store(t, e, retention{all: 30 * day}) // the table alone
	e.query(t, "ALTER TABLE sluice.events MODIFY SETTING merge_with_ttl_timeout = 1")
	e.query(t, "SYSTEM STOP MERGES sluice.events")
	expired, kept := 0, 0
	now := time.Now().UTC()
	// Each batch was stored 40 days ago, as the sink would have: six tenants' events in
	// one block, some with an expiry of their own, some that never expire.
	for batch := range 5 {
		var values []string
		for i := range 600 {
			at := now.Add(-40*day - time.Duration(batch)*time.Minute)
			period := []time.Duration{7 * day, 30 * day, 39 * day, 90 * day, 365 * day, 800 * day}[i%6]
			expires, from := at.Add(period), "retention"
			switch i % 50 {
			case 0:
				expires, from = at.Add(2*time.Hour), "own"
			case 1:
				expires, from = lastExpiry, "never"
			}
			leaves := leaving(expires, at)
			if leaves.After(now) {
				kept++
			} else {
				expired++
			}
			values = append(values, fmt.Sprintf("(generateUUIDv4(), 'tenant%d', 'login', %d.5, %d, '%s', %d, %d, '{}', %d)",
				i%6, at.Unix(), expires.Unix(), from, leaves.Unix(), leaves.Unix(), at.Unix()))
		}
		e.query(t, "INSERT INTO sluice.events (pk, tenant, action, created, expires, expiry, leaves, cohort, context, stored_at) VALUES "+strings.Join(values, ","))
	}
	const (
		parts   = "SELECT groupArray(name) FROM (SELECT name FROM system.parts WHERE database = 'sluice' AND table = 'events' AND active AND delete_ttl_info_min > now() ORDER BY name)"
		overdue = "SELECT count() FROM system.parts WHERE database = 'sluice' AND table = 'events' AND active AND rows > 0 AND delete_ttl_info_max <= now()"
		read    = "SELECT sum(value) FROM system.events WHERE event IN ('MergedRows', 'MutatedRows')"
	)
	if got := e.query(t, countRows); got != rows(expired+kept) {
		t.Fatalf("before: got %s, want %d", got, expired+kept)
	}
	before, partsBefore, due := count(t, e, read), e.query(t, parts), e.query(t, overdue)
	// Ordinary merges stay off, so that every merge that is counted is one of expiry.
	e.query(t, "ALTER TABLE sluice.events MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1")
	e.query(t, "SYSTEM START MERGES sluice.events")
	eventuallyQuery(t, e, countRows, rows(kept))
	eventuallyQuery(t, e, overdue, "0")
	touched := count(t, e, read) - before
	if touched > expired {
		t.Errorf("%d rows were read, of which %d were to leave", touched, expired)
	}
	if after := e.query(t, parts); after != partsBefore {
		t.Errorf("other parts changed: before %s, after %s", partsBefore, after)
	}
	if got := e.query(t, everyMutation); got != "0" {
		t.Errorf("%s mutations", got)
	}
	t.Logf("%d rows left in %s parts, for which %d rows were read; %d rows stay untouched in %s", expired, due, touched, kept, partsBefore)
}

func count(t *testing.T, e *engine, statement string) int {
	t.Helper()
	n, err := strconv.Atoi(e.query(t, statement))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
