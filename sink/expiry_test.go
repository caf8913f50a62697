package sink

import (
	"testing"
	"time"
)

func TestRowExpiry(t *testing.T) {
	for _, tc := range []struct {
		name, event string
		want        expiry
		expires     time.Time
	}{
		{"retention", `{}`, byRetention, testStored.Add(365 * day).Truncate(time.Second)},
		{"null counts as missing", `{"expires":null}`, byRetention, testStored.Add(365 * day).Truncate(time.Second)},
		{"own", `{"expires":"2027-01-02T03:04:05.9Z"}`, byItself, time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)},
		{"never", `{"expires":"2027-01-02T03:04:05Z","expiring":false}`, never, lastExpiry},
		{"expiring", `{"expires":"2027-01-02T03:04:05Z","expiring":true}`, byItself, time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)},
		{"the last of two", `{"expiring":false,"expiring":null}`, byRetention, testStored.Add(365 * day).Truncate(time.Second)},
		{"a text", `{"expiring":"false"}`, byRetention, testStored.Add(365 * day).Truncate(time.Second)},
	} {
		r := mustRow(t, message(tc.event))
		if r.expiry != tc.want || !r.expires.Equal(tc.expires) {
			t.Errorf("%s: got %s, %d, want %s, %d", tc.name, r.expires, r.expiry, tc.expires, tc.want)
		}
	}
}

// leavings are what a row leaves at that was stored at testStored,
// 2026-11-23 06:00:00.123456789.
var leavings = []struct{ name, expires, want string }{
	{"long ago", "1970-01-01 00:00:01", "2026-11-23 00:00:00"},
	{"yesterday", "2026-11-22 05:00:00", "2026-11-23 00:00:00"},
	{"just before", "2026-11-23 06:00:00", "2026-11-23 00:00:00"},
	{"a second", "2026-11-23 06:00:01", "2026-11-23 06:01:00"},
	{"on a minute", "2026-11-23 06:07:00", "2026-11-23 06:07:00"},
	{"an hour", "2026-11-23 07:00:00", "2026-11-23 07:00:00"},
	{"over an hour", "2026-11-23 07:00:01", "2026-11-23 08:00:00"},
	{"two days", "2026-11-25 06:00:00", "2026-11-25 06:00:00"},
	{"over two days", "2026-11-25 06:00:01", "2026-11-26 00:00:00"},
	{"400 days", "2027-12-28 06:00:00", "2027-12-29 00:00:00"},
	{"over 400 days", "2027-12-28 06:00:01", "2028-01-01 00:00:00"},
	{"on a month", "2028-02-01 00:00:00", "2028-02-01 00:00:00"},
	{"after a month", "2028-02-01 00:00:01", "2028-03-01 00:00:00"},
	{"the last whole month", "2106-01-31 23:59:59", "2106-02-01 00:00:00"},
	{"the last month", "2106-02-03 00:00:00", "2106-02-07 06:28:15"},
	{"the end", "2106-02-07 06:28:15", "2106-02-07 06:28:15"},
}

func TestLeaving(t *testing.T) {
	for _, tc := range leavings {
		expires, err := time.Parse(time.DateTime, tc.expires)
		if err != nil {
			t.Fatal(err)
		}
		if got := leaving(expires, testStored).Format(time.DateTime); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// Whatever expires when, a day's events lie in few partitions.
func TestLeavingBoundsThePartitions(t *testing.T) {
	cohorts := map[time.Time]bool{}
	for at := firstExpiry; at.Before(lastExpiry); at = at.Add(7 * time.Hour) {
		cohorts[leaving(at, testStored)] = true
	}
	for minute := range 60 * 48 {
		cohorts[leaving(testStored.Add(time.Duration(minute)*time.Minute), testStored)] = true
	}
	if len(cohorts) > 1500 {
		t.Errorf("%d partitions", len(cohorts))
	}
}
