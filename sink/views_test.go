package sink

import (
	"fmt"
	"strings"
	"testing"
)

// viewEvents are what the views are asked about: tenant, action, minute of
// 2026-11-20, username, address, context, rest of the user, masked paths.
var viewEvents = []struct {
	tenant, action string
	minute         int
	username, ip   string
	context, user  string
	redacted       string
}{
	{"acme", "login_failed", 1, "AnonymousUser", "192.0.2.1", `{"username":"ann","geo":{"country":"DE"}}`, "", "/context/password"},
	{"acme", "login_failed", 2, "AnonymousUser", "192.0.2.1", `{"username":"ann"}`, "", "/context/password"},
	{"acme", "login_failed", 61, "AnonymousUser", "192.0.2.1", `{"username":"bob"}`, "", ""},
	{"acme", "login_failed", 62, "cid", "192.0.2.2", `{}`, "", ""},
	{"lab", "login_failed", 3, "AnonymousUser", "192.0.2.1", `{"username":"ann"}`, "", ""},
	{"acme", "impersonation_started", 10, "root", "192.0.2.9", `{"reason":"help"}`, `"on_behalf_of":{"username":"ann"}`, ""},
	{"acme", "impersonation_ended", 15, "root", "192.0.2.9", `{}`, "", ""},
	{"acme", "impersonation_started", 20, "root", "192.0.2.9", `{"reason":"more"}`, `"on_behalf_of":{"username":"bob"}`, ""},
	{"acme", "impersonation_ended", 21, "other", "192.0.2.9", `{}`, "", ""},
	{"acme", "authorize_application", 30, "ann", "192.0.2.3", `{"authorized_application":{"name":"Grafana","pk":"1"}}`, "", ""},
	{"acme", "authorize_application", 31, "ann", "192.0.2.3", `{"authorized_application":{"name":"Grafana","pk":"1"}}`, "", ""},
	{"acme", "model_created", 40, "root", "192.0.2.9", `{"model":{"pk":7,"app":"a","model_name":"user","name":"x"}}`, "", ""},
	{"acme", "model_updated", 41, "root", "192.0.2.9", `{"model":{"pk":7,"app":"a","model_name":"user","name":"y"},"diff":{"name":1}}`, "", ""},
	{"acme", "model_updated", 42, "root", "192.0.2.9", `{"model":{"pk":8,"app":"a","model_name":"user","name":"z"}}`, "", ""},
	{"acme", "system_exception", 50, "", "192.0.2.3", `{"message":"row 17 is gone"}`, "", ""},
	{"acme", "system_exception", 51, "", "192.0.2.3", `{"message":"row 18 is gone"}`, "", ""},
	{"acme", "login", 5, "ann", "192.0.2.3", `{"geo":{"country":"DE"},"asn":{"asn":1,"as_org":"One"}}`, "", ""},
	{"acme", "login", 6, "ann", "192.0.2.4", `{"geo":{"country":"DE"},"asn":{"asn":1,"as_org":"One"}}`, "", ""},
	{"acme", "login", 7, "ann", "192.0.2.5", `{"geo":{"country":"FR"},"asn":{"asn":2,"as_org":"Two"}}`, "", ""},
	{"acme", "secret_view", 55, "root", "192.0.2.9", `{"secret":{"model_name":"token","name":"t"}}`, "", ""},
}

func TestViews(t *testing.T) {
	ch := cleanEngine(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	checkViews(t, ch)
}

// checkViews fills the table and asks every view.
func checkViews(t *testing.T, ch *engine) {
	t.Helper()
	values := make([]string, len(viewEvents))
	for i, e := range viewEvents {
		user := strings.Trim(fmt.Sprintf(`"username":%q,%s`, e.username, e.user), ",")
		values[i] = fmt.Sprintf("(generateUUIDv4(), '%s', '%s', 'app', toDateTime64('2026-11-20 00:00:00', 6, 'UTC') + INTERVAL %d MINUTE, "+
			"'2100-01-01 00:00:00', '%s', toIPv6('%s'), '%s', '{%s}', '{}', '{}', arrayFilter(x -> x != '', ['%s']))",
			e.tenant, e.action, e.minute, e.username, e.ip, e.context, user, e.redacted)
	}
	insert := "INSERT INTO sluice.events (pk, tenant, action, app, created, expires, username, client_ip, context, user, brand, extra, redacted) VALUES "
	ch.query(t, insert+strings.Join(values, ", "))
	// What has expired shows in no view of events.
	ch.query(t, "SYSTEM STOP MERGES "+ch.settings().placement().rowsTable())
	ch.query(t, insert+strings.ReplaceAll(values[0], "2100-01-01 00:00:00", "2026-11-20 00:00:00"))
	const between = "(since='2026-11-20 00:00:00', until='2026-11-21 00:00:00')"
	limits := func(more string) string { return strings.Replace(between, ")", ", "+more+")", 1) }
	for _, tc := range []struct{ query, want string }{
		{"SELECT tenant, hour, user, client_ip, failures FROM sluice.failed_logins" + between + " ORDER BY ALL", "" +
			"acme\t2026-11-20 00:00:00\tann\t::ffff:192.0.2.1\t2\n" +
			"acme\t2026-11-20 01:00:00\tbob\t::ffff:192.0.2.1\t1\n" +
			"acme\t2026-11-20 01:00:00\tcid\t::ffff:192.0.2.2\t1\n" +
			"lab\t2026-11-20 00:00:00\tann\t::ffff:192.0.2.1\t1"},
		{"SELECT tenant, user, failures, addresses FROM sluice.brute_force" + limits("failures=2"), "acme\tann\t2\t1"},
		{"SELECT tenant, client_ip, people, failures FROM sluice.password_spraying" + limits("people=2"), "acme\t::ffff:192.0.2.1\t2\t3"},
		{"SELECT admin, acted_as, started, ended, seconds, reason FROM sluice.impersonations" + between + " ORDER BY started", "" +
			"root\tann\t2026-11-20 00:10:00.000000\t2026-11-20 00:15:00.000000\t300\thelp\n" +
			"root\tbob\t2026-11-20 00:20:00.000000\t\\N\t\\N\tmore"},
		{"SELECT acted_as, ended FROM sluice.impersonations(since='2026-11-20 00:05:00', until='2026-11-20 00:12:00')", "ann\t2026-11-20 00:15:00.000000"},
		{"SELECT application_name, username, authorizations FROM sluice.application_usage" + between, "Grafana\tann\t2"},
		{"SELECT action, name, diff FROM sluice.model_history(model_pk='7') ORDER BY created", "model_created\tx\t\nmodel_updated\ty\t{\"name\":1}"},
		{"SELECT message, times FROM sluice.exceptions" + between, "row # is gone\t2"},
		{"SELECT country, asn, operator, logins, is_new FROM sluice.first_logins" + between + " ORDER BY first", "DE\t1\tOne\t2\t0\nFR\t2\tTwo\t1\t1"},
		{"SELECT country FROM sluice.first_logins(since='2026-11-20 00:06:30', until='2026-11-21 00:00:00') WHERE is_new", "FR"},
		{"SELECT username, kind, secret FROM sluice.secrets_viewed" + between, "root\ttoken\tt"},
		{"SELECT hour, events FROM sluice.events_by_hour WHERE action = 'login' AND hour >= '2026-11-20 00:00:00'", "2026-11-20 00:00:00\t3"},
		{"SELECT pointer, times FROM sluice.redactions" + between, "/context/password\t2"},
	} {
		if got := ch.query(t, tc.query); got != tc.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", tc.query, got, tc.want)
		}
	}
	if plan := ch.query(t, "EXPLAIN SELECT hour, events FROM sluice.events_by_hour WHERE tenant = 'acme' AND hour >= '2026-11-20 00:00:00'"); !strings.Contains(plan, "by_hour") {
		t.Errorf("the rollup is not read:\n%s", plan)
	}
}
