package sink

import (
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestParsePeriod(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want time.Duration
	}{
		{"365d", 365 * day},
		{"90d", 90 * day},
		{" 2w ", 14 * day},
		{"12h", 12 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"1.5d", 36 * time.Hour},
		{"1h30m5s", time.Hour + 30*time.Minute + 5*time.Second},
		{"1500ms", 1500 * time.Millisecond},
		{"days=30;hours=2", 30*day + 2*time.Hour},
		{"days=30; hours=2;", 30*day + 2*time.Hour},
		{"weeks=1", 7 * day},
		{"minutes=1;seconds=2;milliseconds=3;microseconds=4", time.Minute + 2*time.Second + 3*time.Millisecond + 4*time.Microsecond},
		{"80w", 560 * day},
	} {
		if got, err := parsePeriod(tc.in); err != nil || got != tc.want {
			t.Errorf("parsePeriod(%q) = %v, %v, want %v", tc.in, got, err, tc.want)
		}
	}
	for _, in := range []string{
		"", "90", "d", "90x", "-1d", "0d", "1ms", "1d-1h", "1e3d", "days=", "days=x", "days=NaN", "days=Inf", "days=-3",
		"fortnights=1", "10000w", "80000000000000000000d", "9999d9999d9999d9999d", "1..5d", "1 d",
	} {
		if got, err := parsePeriod(in); err == nil {
			t.Errorf("parsePeriod(%q) = %v, want an error", in, got)
		}
	}
}

func TestParseRetention(t *testing.T) {
	r, err := parseRetention("365d", "acme=90d, lab=days=7;hours=1,")
	if err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[string]time.Duration{"acme": 90 * day, "lab": 7*day + time.Hour, "other": 365 * day} {
		if got := r.of(tenant); got != want {
			t.Errorf("of(%s) = %v, want %v", tenant, got, want)
		}
	}
	for _, tc := range []struct{ all, byTenant, want string }{
		{"x", "", "RETENTION: "},
		{"1d", "acme", "want tenant=period"},
		{"1d", "a.b=1d", "RETENTION_BY_TENANT: tenant"},
		{"1d", "acme=1d,acme=2d", "twice"},
		{"1d", "acme=never", `tenant "acme"`},
	} {
		if _, err := parseRetention(tc.all, tc.byTenant); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("parseRetention(%q, %q): %v, want %q", tc.all, tc.byTenant, err, tc.want)
		}
	}
}

func FuzzParsePeriod(f *testing.F) {
	for _, seed := range []string{"90d", "days=30;hours=2", "1d12h", "1.5w", "=;=", "9e9d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parsePeriod(s)
		if err == nil && (d < minPeriod || d > maxPeriod) {
			t.Errorf("parsePeriod(%q) = %v, out of bounds", s, d)
		}
		if again, err2 := parsePeriod(s); again != d || (err == nil) != (err2 == nil) {
			t.Errorf("parsePeriod(%q) gives %v and then %v", s, d, again)
		}
	})
}
