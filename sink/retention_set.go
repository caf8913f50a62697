package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/internal/daemon"
	"sluice/schemas"
)

// allTenants stands for all tenants that are not named.
const allTenants = "*"

// parsePeriods reads TENANT=PERIOD arguments; without any they are the settings.
func parsePeriods(args []string, settings retention) (tenantPeriods, error) {
	if len(args) == 0 {
		return settings.periods(), nil
	}
	p := tenantPeriods{named: map[string]time.Duration{}}
	for _, arg := range args {
		tenant, text, found := strings.Cut(arg, "=")
		if !found {
			return p, daemon.Usage("%q: want TENANT=PERIOD, such as acme=90d", arg)
		}
		period, err := parsePeriod(text)
		if err != nil {
			return p, daemon.Usage("%s: %w", tenant, err)
		}
		_, twice := p.named[tenant]
		switch err := schemas.CheckTenant(tenant); {
		case twice || tenant == allTenants && p.others != 0:
			return p, daemon.Usage("tenant %q stands there twice", tenant)
		case tenant == allTenants:
			p.others = period
		case err != nil:
			return p, daemon.Usage("%w", err)
		default:
			p.named[tenant] = period
		}
	}
	return p, nil
}

// of is the period for a tenant.
func (p tenantPeriods) of(tenant string) time.Duration {
	if period, named := p.named[tenant]; named {
		return period
	}
	return p.others
}

// RetentionChange is what a retention makes of the stored rows of a tenant.
type RetentionChange struct {
	Tenant, Retention string
	// Rows are those that expire by the tenant's retention. Changed are those of them
	// that expire at another time than before, and not yet.
	Rows, Changed uint64
	// Leave counts when the rows leave then.
	Leave Leaving
}

// SetRetention makes the stored rows that expire by their tenant's retention expire by
// the given periods, TENANT=PERIOD each, with * for all tenants that are not named;
// without any by the settings. Rows that have expired by then are gone when it
// returns. It writes to out what it does; a dry run only says what it would.
//
// It may be interrupted and repeated: what has been changed is not changed again, and
// what ClickHouse was told to do it does all the same.
func SetRetention(ctx context.Context, cfg Config, args []string, dryRun bool, out, progress io.Writer) error {
	settings, err := cfg.retention()
	if err != nil {
		return err
	}
	periods, err := parsePeriods(args, settings)
	if err != nil {
		return err
	}
	table, err := openStored(ctx, cfg.ClickHouse)
	if err != nil {
		return err
	}
	defer table.close()
	now, err := table.now(ctx)
	if err != nil {
		return err
	}
	changes, err := table.changes(ctx, periods, now)
	if err != nil {
		return fmt.Errorf("read what would change: %w", err)
	}
	writeChanges(out, changes)
	if dryRun {
		fmt.Fprintln(out, "\nDry run: nothing was changed.")
	} else if err := table.setRetention(ctx, periods, changes, now, out, progress); err != nil {
		return err
	}
	warnOfSettings(out, periods, settings, changes)
	return nil
}

// changes says what the periods make of the rows, tenant by tenant.
func (t *storedEvents) changes(ctx context.Context, periods tenantPeriods, now time.Time) ([]RetentionChange, error) {
	expires := periods.expires()
	// What has expired goes at once, whatever it was rounded up to.
	when := fmt.Sprintf("multiIf(%s <= %s, %s, expires = %s, leaves, %s)", expires, at(now), at(now), expires, leaves(expires))
	statement := fmt.Sprintf("SELECT name, count(), countIf(differs AND goes > %s), %s FROM "+
		"(SELECT toString(tenant) AS name, expires != %s AS differs, %s AS goes FROM %s WHERE expiry = 'retention' AND %s) GROUP BY name ORDER BY name",
		at(now), leavingColumns("goes", "1", now), expires, when, eventsTable, periods.where())
	var out []RetentionChange
	err := t.each(ctx, statement, func(rows driver.Rows) error {
		var c RetentionChange
		if err := rows.Scan(c.Leave.scanned(&c.Tenant, &c.Rows, &c.Changed)...); err != nil {
			return err
		}
		c.Retention = periodText(periods.of(c.Tenant))
		out = append(out, c)
		return nil
	})
	return out, err
}

func writeChanges(w io.Writer, changes []RetentionChange) {
	rows := [][]string{{"tenant", "retention", "rows", "changed"}}
	for _, until := range leavingUntil {
		rows[0] = append(rows[0], until.name)
	}
	rows[0] = append(rows[0], "later")
	for _, c := range changes {
		rows = append(rows, append([]string{c.Tenant, c.Retention, number(c.Rows), number(c.Changed)}, c.Leave.texts()...))
	}
	fmt.Fprintln(w, "Rows that expire by retention, and when they leave by this one")
	writeColumns(w, rows)
}

// errNotAgreed: rows came in meanwhile that have an older retention.
var errNotAgreed = errors.New("rows are still being stored by another retention: run the command again")

// retentionTries are enough for rows that were being stored when it began.
const retentionTries = 3

// setRetention changes the rows by one mutation, which removes what has expired by then
// in the same go, and looks whether that is so.
func (t *storedEvents) setRetention(
	ctx context.Context, periods tenantPeriods, changes []RetentionChange, now time.Time, out, progress io.Writer,
) error {
	var changed, expired uint64
	for _, c := range changes {
		changed, expired = changed+c.Changed, expired+c.Leave.Now
	}
	if changed == 0 && expired == 0 {
		fmt.Fprintln(out, "\nAll rows agree with it already.")
		return nil
	}
	mine := "expiry = 'retention' AND " + periods.where()
	expires := periods.expires()
	isExpired := fmt.Sprintf("%s AND %s <= %s", mine, expires, at(now))
	differs := fmt.Sprintf("%s AND expires != %s", mine, expires)
	for range retentionTries {
		err := t.mutate(ctx, "change the retention of rows", fmt.Sprintf("DELETE WHERE %s, UPDATE expires = %s, leaves = %s WHERE %s",
			isExpired, expires, leaves(expires), differs), progress)
		if err != nil {
			return err
		}
		var left uint64
		if err := t.rowEverywhere(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE stored_at <= fromUnixTimestamp64Milli(%d) AND ((%s) OR (%s))",
			t.place.everywhere(t.place.rowsTable()), now.UnixMilli(), isExpired, differs), &left); err != nil {
			return fmt.Errorf("look whether all rows are changed: %w", err)
		}
		if left == 0 {
			fmt.Fprintf(out, "\nDone: %d rows expire at another time now, %d that had expired by then are removed.\n", changed, expired)
			return nil
		}
	}
	return errNotAgreed
}

// warnOfSettings says where a period is not what the settings say, since what is stored
// from now on goes by them.
func warnOfSettings(w io.Writer, periods tenantPeriods, settings retention, changes []RetentionChange) {
	names := map[string]bool{}
	for tenant := range periods.named {
		names[tenant] = true
	}
	for _, c := range changes {
		names[c.Tenant] = true
	}
	for _, tenant := range slices.Sorted(maps.Keys(names)) {
		if want, have := periods.of(tenant), settings.of(tenant); want != have {
			fmt.Fprintf(w, "New events of %s still get %s: set RETENTION_BY_TENANT to %s=%s for every sink.\n", tenant, periodText(have), tenant, periodText(want))
		}
	}
	if periods.others != 0 && periods.others != settings.all {
		fmt.Fprintf(w, "New events of other tenants still get %s: set RETENTION to %s for every sink.\n", periodText(settings.all), periodText(periods.others))
	}
}
