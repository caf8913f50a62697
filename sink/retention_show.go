package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// RetentionReport says what is stored, and how long.
type RetentionReport struct {
	// Retention and ByTenant are the settings, as periods such as 365d.
	Retention string            `json:"retention"`
	ByTenant  map[string]string `json:"retention_by_tenant"`
	At        time.Time         `json:"at"`
	Tenants   []TenantReport    `json:"tenants"`
}

// TenantReport says what is stored of one tenant, in rows.
type TenantReport struct {
	Tenant string `json:"tenant"`
	Rows   uint64 `json:"rows"`
	// Bytes are the tenant's share of the disk, about: of each part as many as of its
	// rows.
	Bytes  uint64    `json:"bytes"`
	Oldest time.Time `json:"oldest"`
	Newest time.Time `json:"newest"`
	// Retention is what the settings say for the tenant.
	Retention string `json:"retention"`
	// OwnExpiry have an expiry of their own, and Never have none.
	OwnExpiry uint64 `json:"own_expiry"`
	Never     uint64 `json:"never"`
	// Differ expire by a retention that is not the one of the settings.
	Differ uint64 `json:"differ"`
	// Leave counts when the rows leave, but for those that never do.
	Leave Leaving `json:"leave"`
}

// Leaving counts rows by when they leave, each once.
type Leaving struct {
	Now      uint64 `json:"now"`
	In1Day   uint64 `json:"in_1d"`
	In7Days  uint64 `json:"in_7d"`
	In30Days uint64 `json:"in_30d"`
	In90Days uint64 `json:"in_90d"`
	In1Year  uint64 `json:"in_1y"`
	Later    uint64 `json:"later"`
}

// leavingUntil are the ends of the counts of Leaving, after which come the later ones.
var leavingUntil = []struct {
	name string
	days int
}{{"now", 0}, {"in 1d", 1}, {"in 7d", 7}, {"in 30d", 30}, {"in 90d", 90}, {"in 1y", 365}}

// leavingColumns count the rows for Leaving, by when an expression says that they
// leave.
func leavingColumns(when, condition string, now time.Time) string {
	var out strings.Builder
	after := "1"
	for _, until := range leavingUntil {
		end := at(now.AddDate(0, 0, until.days))
		fmt.Fprintf(&out, "countIf(%s AND %s AND %s <= %s), ", condition, after, when, end)
		after = when + " > " + end
	}
	fmt.Fprintf(&out, "countIf(%s AND %s)", condition, after)
	return out.String()
}

func (l *Leaving) fields() []*uint64 {
	return []*uint64{&l.Now, &l.In1Day, &l.In7Days, &l.In30Days, &l.In90Days, &l.In1Year, &l.Later}
}

func (l *Leaving) texts() []string {
	var out []string
	for _, field := range l.fields() {
		out = append(out, number(*field))
	}
	return out
}

// scanned is where the columns of an answer go, the last ones of them to Leaving.
func (l *Leaving) scanned(before ...any) []any {
	for _, field := range l.fields() {
		before = append(before, field)
	}
	return before
}

// ShowRetention reads what is stored and how it agrees with the settings.
func ShowRetention(ctx context.Context, cfg Config) (RetentionReport, error) {
	settings, err := cfg.retention()
	if err != nil {
		return RetentionReport{}, err
	}
	table, err := openStored(ctx, cfg.ClickHouse)
	if err != nil {
		return RetentionReport{}, err
	}
	defer table.close()
	report := RetentionReport{Retention: periodText(settings.all), ByTenant: map[string]string{}, Tenants: []TenantReport{}}
	for tenant, period := range settings.byTenant {
		report.ByTenant[tenant] = periodText(period)
	}
	if report.At, err = table.now(ctx); err != nil {
		return RetentionReport{}, fmt.Errorf("read what is stored: %w", err)
	}
	statement := fmt.Sprintf("SELECT toString(tenant) AS name, count(), min(created), max(created), countIf(expiry = 'own'), countIf(expiry = 'never'), "+
		"countIf(expiry = 'retention' AND expires != %s), %s FROM %s GROUP BY name ORDER BY name",
		settings.periods().expires(), leavingColumns("leaves", "expiry != 'never'", report.At), eventsTable)
	err = table.each(ctx, statement, func(rows driver.Rows) error {
		var t TenantReport
		if err := rows.Scan(t.Leave.scanned(&t.Tenant, &t.Rows, &t.Oldest, &t.Newest, &t.OwnExpiry, &t.Never, &t.Differ)...); err != nil {
			return err
		}
		t.Retention = periodText(settings.of(t.Tenant))
		report.Tenants = append(report.Tenants, t)
		return nil
	})
	if err == nil {
		err = table.weigh(ctx, report.Tenants)
	}
	if err != nil {
		return RetentionReport{}, fmt.Errorf("read what is stored: %w", err)
	}
	return report, nil
}

// weigh tells how many bytes each tenant has: on a cluster, on one replica of each shard.
func (t *storedEvents) weigh(ctx context.Context, tenants []TenantReport) error {
	statement := "SELECT toString(tenant) AS name, toUInt64(sum(mine / rows * bytes_on_disk)) FROM " +
		"(SELECT tenant, " + t.place.shard() + " AS shard, _part AS part, count() AS mine FROM " + eventsTable + " GROUP BY tenant, shard, part) AS shares INNER JOIN " +
		"(SELECT " + t.place.shard() + " AS shard, name AS part, rows, bytes_on_disk FROM " + t.place.once("system.parts") + " WHERE " + t.place.inRowsTable() + " AND active) AS parts " +
		"USING shard, part GROUP BY name"
	bytes := map[string]uint64{}
	err := t.each(ctx, statement, func(rows driver.Rows) error {
		var tenant string
		var n uint64
		if err := rows.Scan(&tenant, &n); err != nil {
			return err
		}
		bytes[tenant] = n
		return nil
	})
	for i := range tenants {
		tenants[i].Bytes = bytes[tenants[i].Tenant]
	}
	return err
}

// WriteJSON writes the report for a program.
func (r RetentionReport) WriteJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

// WriteText writes the report for a person.
func (r RetentionReport) WriteText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "Retention in force: %s (RETENTION)", r.Retention)
	if len(r.ByTenant) > 0 {
		var named []string
		for _, tenant := range slices.Sorted(maps.Keys(r.ByTenant)) {
			named = append(named, tenant+"="+r.ByTenant[tenant])
		}
		fmt.Fprintf(&out, "; %s (RETENTION_BY_TENANT)", strings.Join(named, ", "))
	}
	out.WriteString("\n\nWhat is stored\n")
	stored := [][]string{{"tenant", "rows", "size", "oldest", "newest", "retention", "own expiry", "never", "differ"}}
	leave := [][]string{{"tenant"}}
	for _, until := range leavingUntil {
		leave[0] = append(leave[0], until.name)
	}
	leave[0] = append(leave[0], "later", "never")
	differ := uint64(0)
	for _, t := range r.Tenants {
		stored = append(stored, []string{
			t.Tenant, number(t.Rows), sizeText(t.Bytes), t.Oldest.UTC().Format(time.DateTime), t.Newest.UTC().Format(time.DateTime),
			t.Retention, number(t.OwnExpiry), number(t.Never), number(t.Differ),
		})
		leave = append(leave, append(append([]string{t.Tenant}, t.Leave.texts()...), number(t.Never)))
		differ += t.Differ
	}
	writeColumns(&out, stored)
	out.WriteString("\nWhen it leaves (each row counted once)\n")
	writeColumns(&out, leave)
	if differ > 0 {
		fmt.Fprintf(&out, "\n%d rows do not agree with the retention in force: `sink retention set` makes them.\n", differ)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// writeColumns aligns rows of text under their heads: the first column to the left,
// the others to the right.
func writeColumns(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	wide := 0
	for _, row := range rows {
		wide = max(wide, len(row[0]))
	}
	for _, row := range rows {
		fmt.Fprintf(tw, "%-*s\t%s\t\n", wide, row[0], strings.Join(row[1:], "\t"))
	}
	_ = tw.Flush()
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// sizeText is a number of bytes for a person.
func sizeText(n uint64) string {
	size, unit := float64(n), 0
	for units := 3; size >= 1000 && unit < units; unit++ {
		size /= 1000
	}
	if unit == 0 {
		return number(n) + " B"
	}
	return fmt.Sprintf("%.1f %cB", size, " kMG"[unit])
}
