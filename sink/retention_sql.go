package sink

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tenantPeriods are periods for some tenants, or for all.
type tenantPeriods struct {
	named map[string]time.Duration
	// others is the period of the tenants that are not named, 0 for leaving them
	// out.
	others time.Duration
}

// periods is the retention for all tenants.
func (r retention) periods() tenantPeriods { return tenantPeriods{named: r.byTenant, others: r.all} }

// where is the condition that a row's tenant is meant.
func (p tenantPeriods) where() string {
	if p.others != 0 {
		return "1"
	}
	return "tenant IN (" + list(p.named, quote) + ")"
}

// expires is when a row expires by these periods, as the sink computes it: in whole
// seconds, within the column's ends.
func (p tenantPeriods) expires() string {
	micros := strconv.FormatInt(p.others.Microseconds(), 10)
	if len(p.named) > 0 {
		value := func(tenant string) string { return strconv.FormatInt(p.named[tenant].Microseconds(), 10) }
		micros = fmt.Sprintf("transform(toString(tenant), [%s], [%s], %s)", list(p.named, quote), list(p.named, value), micros)
	}
	return fmt.Sprintf("toDateTime(toUInt32(least(greatest(intDiv(toUnixTimestamp64Micro(created) + toInt64(%s), 1000000), %d), %d)), 'UTC')",
		micros, firstExpiry.Unix(), lastExpiry.Unix())
}

// leaves is when a row leaves that expires by the expression, as the sink computes it
// from the time of storing.
func leaves(expires string) string {
	const bucket = `multiIf(
		EXPIRES >= toDateTime('2106-02-01 00:00:00', 'UTC'), toDateTime('2106-02-07 06:28:15', 'UTC'),
		EXPIRES <= stored_at, toStartOfDay(toDateTime(stored_at, 'UTC')),
		EXPIRES <= stored_at + INTERVAL 1 HOUR, toStartOfMinute(EXPIRES + 59),
		EXPIRES <= stored_at + INTERVAL 2 DAY, toStartOfHour(EXPIRES + 3599),
		EXPIRES <= stored_at + INTERVAL 400 DAY, toStartOfDay(EXPIRES + 86399),
		toDateTime(toStartOfMonth(EXPIRES - 1), 'UTC') + INTERVAL 1 MONTH)`
	return strings.ReplaceAll(strings.ReplaceAll(bucket, "\n\t\t", " "), "EXPIRES", expires)
}

// list joins what each makes of the tenants, in their order.
func list(named map[string]time.Duration, each func(tenant string) string) string {
	out := make([]string, 0, len(named))
	for _, tenant := range slices.Sorted(maps.Keys(named)) {
		out = append(out, each(tenant))
	}
	return strings.Join(out, ", ")
}

// quote makes a literal of ClickHouse.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// at is a moment as a literal of ClickHouse, in whole seconds.
func at(t time.Time) string { return fmt.Sprintf("toDateTime(%d, 'UTC')", t.Unix()) }

// periodText writes a period as parsePeriod reads it.
func periodText(d time.Duration) string {
	var out strings.Builder
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"d", units["d"]}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := int64(d / unit.size); n > 0 {
			fmt.Fprintf(&out, "%d%s", n, unit.name)
			d %= unit.size
		}
	}
	return out.String()
}
