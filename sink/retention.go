package sink

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/schemas"
)

// retention says how long events are kept that do not say so themselves.
type retention struct {
	all      time.Duration
	byTenant map[string]time.Duration
}

// of returns the retention of a tenant.
func (r retention) of(tenant string) time.Duration {
	if d, ok := r.byTenant[tenant]; ok {
		return d
	}
	return r.all
}

// parseRetention reads the two settings.
func parseRetention(all, byTenant string) (retention, error) {
	var r retention
	var err error
	if r.all, err = parsePeriod(all); err != nil {
		return retention{}, fmt.Errorf("RETENTION: %w", err)
	}
	r.byTenant = map[string]time.Duration{}
	for entry := range strings.SplitSeq(byTenant, ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		tenant, period, found := strings.Cut(strings.TrimSpace(entry), "=")
		if !found {
			return retention{}, fmt.Errorf("RETENTION_BY_TENANT: %q: want tenant=period", entry)
		}
		if err := schemas.CheckTenant(tenant); err != nil {
			return retention{}, fmt.Errorf("RETENTION_BY_TENANT: %w", err)
		}
		if _, twice := r.byTenant[tenant]; twice {
			return retention{}, fmt.Errorf("RETENTION_BY_TENANT: tenant %q stands there twice", tenant)
		}
		if r.byTenant[tenant], err = parsePeriod(period); err != nil {
			return retention{}, fmt.Errorf("RETENTION_BY_TENANT: tenant %q: %w", tenant, err)
		}
	}
	return r, nil
}

// The shortest and longest period: below a second nothing could be read, and the
// column of expiry ends in 2106.
const (
	minPeriod = time.Second
	maxPeriod = 80 * 365 * 24 * time.Hour
)

var errPeriod = errors.New("want a period such as 90d, 2w, 12h, 1d12h or days=30;hours=2")

// parsePeriod reads Go's durations with days (d) and weeks (w) besides, and
// authentik's form of names and numbers.
func parsePeriod(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	sum := time.Duration(0)
	for s != "" {
		part, rest, err := nextPart(s)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", s, err)
		}
		if sum += part; sum < 0 || sum > maxPeriod {
			return 0, fmt.Errorf("%q: at most %d years", s, maxPeriod/(365*24*time.Hour))
		}
		s = rest
	}
	if sum < minPeriod {
		return 0, fmt.Errorf("%w, at least %s", errPeriod, minPeriod)
	}
	return sum, nil
}

// nextPart reads one number with its unit: 90d or days=30.
func nextPart(s string) (part time.Duration, rest string, err error) {
	var number, unit string
	if name, after, found := strings.Cut(s, "="); found {
		number, rest, _ = strings.Cut(after, ";")
		unit = strings.TrimSpace(name)
	} else {
		digits := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if digits <= 0 {
			return 0, "", errPeriod
		}
		number = s[:digits]
		if end := strings.IndexAny(s[digits:], "0123456789."); end >= 0 {
			unit, rest = s[digits:digits+end], s[digits+end:]
		} else {
			unit = s[digits:]
		}
	}
	size, known := units[unit]
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !known || err != nil || !(value >= 0 && value*float64(size) <= float64(maxPeriod)) { // NaN compares as false
		return 0, "", errPeriod
	}
	return time.Duration(value * float64(size)), rest, nil
}

var units = map[string]time.Duration{
	"w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond,
	"weeks": 7 * 24 * time.Hour, "days": 24 * time.Hour, "hours": time.Hour, "minutes": time.Minute, "seconds": time.Second,
	"milliseconds": time.Millisecond, "microseconds": time.Microsecond,
}
