package sink

import (
	"encoding/xml"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// account is a user of ClickHouse as far as the embedded engine can try it: what it is
// granted, its profile, the roles it has by way of others, and which rows it sees.
type account struct {
	grants  []string
	profile string
	roles   map[string][]string // what each role is granted
	filter  string              // of rows of sluice.events
}

// usersFile is deploy/clickhouse/users.d/sluice.xml.
type usersFile struct {
	Users struct {
		Each []struct {
			XMLName xml.Name
			Profile string   `xml:"profile"`
			Grants  []string `xml:"grants>query"`
			Hash    struct {
				FromEnv string `xml:"from_env,attr"`
			} `xml:"password_sha256_hex"`
			Remove string `xml:"remove,attr"`
		} `xml:",any"`
	} `xml:"users"`
	Profiles struct {
		XML string `xml:",innerxml"`
	} `xml:"profiles"`
}

func deployedUsers(t *testing.T, name string) usersFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	var file usersFile
	if err := xml.Unmarshal(text, &file); err != nil { //nolint:musttag // XMLName needs none
		t.Fatal(err)
	}
	return file
}

func (f usersFile) account(t *testing.T, name string) account {
	t.Helper()
	for _, u := range f.Users.Each {
		if u.XMLName.Local == name {
			return account{grants: u.Grants, profile: u.Profile}
		}
	}
	t.Fatalf("there is no user %s", name)
	return account{}
}

// tenantAnalyst is what roles.sql makes of an analyst of one tenant.
func tenantAnalyst(t *testing.T, tenant string, p placement) account {
	t.Helper()
	const role = "sluice_tenant_analyst"
	var granted []string
	var policy string
	using := regexp.MustCompile(`(?s)CREATE ROW POLICY .* ON sluice.events .*USING (.*) AS PERMISSIVE TO ` + role + `$`)
	for _, statement := range roleStatements(p) {
		if to, found := strings.CutPrefix(statement, "GRANT "); found && strings.Contains(to, role) {
			what, _, _ := strings.Cut(statement, " TO ")
			granted = append(granted, strings.Replace(what, p.onCluster(), "", 1)) // which configuration does not know
		}
		if found := using.FindStringSubmatch(statement); found != nil {
			policy = found[1]
		}
	}
	if len(granted) == 0 || policy == "" {
		t.Fatal("roles.sql was not understood")
	}
	return account{
		grants: []string{"GRANT sluice_tenant_" + tenant}, profile: "readonly", filter: policy,
		roles: map[string][]string{role: granted, "sluice_tenant_" + tenant: {"GRANT " + role}},
	}
}

// as starts the embedded engine on the folder with the account in place of its only
// user.
func (a account) as(t *testing.T, dir, profiles string) *engine {
	t.Helper()
	e, err := launch(dir, "127.0.0.1:0", "-config", a.config(t, profiles, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.kill)
	return e
}

// config writes the engine's configuration with the account as the only user, and more
// of it.
func (a account) config(t *testing.T, profiles, more string) string {
	t.Helper()
	queries := func(all []string) (out string) {
		for _, q := range all {
			out += "<query>" + html.EscapeString(q) + "</query>"
		}
		return "<grants>" + out + "</grants>"
	}
	roles := ""
	for name, granted := range a.roles {
		roles += "<" + name + ">" + queries(granted) + "</" + name + ">"
	}
	filter := ""
	if a.filter != "" {
		rows := "<filter>" + html.EscapeString(a.filter) + "</filter>"
		filter = "<databases><sluice><events>" + rows + "</events><events_local>" + rows + "</events_local></sluice></databases>"
	}
	folder := t.TempDir()
	users, config := filepath.Join(folder, "users.xml"), filepath.Join(folder, "config.xml")
	for file, text := range map[string]string{
		users: fmt.Sprintf("<clickhouse><profiles><default/><readonly><readonly>2</readonly></readonly>%s</profiles><quotas><default/></quotas>"+
			"<roles>%s</roles><users><default><password/><networks><ip>::/0</ip></networks><profile>%s</profile><quota>default</quota>%s%s</default></users></clickhouse>",
			profiles, roles, a.profile, queries(a.grants), filter),
		config: "<clickhouse><users_config>" + users + "</users_config>" + more + "</clickhouse>",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// refuses tries statements that this user must not be able to.
func (e *engine) refuses(t *testing.T, who string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if out, err := e.try(statement); err == nil || !strings.Contains(err.Error(), "Code: 497") && !strings.Contains(err.Error(), "Code: 164") && !strings.Contains(err.Error(), "Code: 392") {
			t.Errorf("%s may %s: %q, %v", who, statement, out, err)
		}
	}
}

// changes are what only the administrator may do.
var changes = []string{
	"ALTER TABLE sluice.events DELETE WHERE 1", "ALTER TABLE sluice.events UPDATE leaves = cohort WHERE 1", "ALTER TABLE sluice.events ADD COLUMN x UInt8",
	"ALTER TABLE sluice.events DROP PARTITION ID '1'", "TRUNCATE TABLE sluice.events", "DROP TABLE sluice.events", "DROP VIEW sluice.failed_logins",
	"DELETE FROM sluice.events WHERE 1", "CREATE TABLE sluice.x (x UInt8) ENGINE = Memory", "CREATE DATABASE x", "OPTIMIZE TABLE sluice.events FINAL",
	"CREATE USER x IDENTIFIED WITH no_password", "CREATE ROLE x", "GRANT SELECT ON *.* TO default", "SYSTEM STOP MERGES sluice.events",
	"INSERT INTO FUNCTION file('x.tsv') SELECT 1", "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
}

// Each user of deploy/clickhouse does its work on the embedded engine, and nothing else.
func TestDeployedUsers(t *testing.T) {
	t.Parallel()
	file, dir := deployedUsers(t, "clickhouse/users.d/sluice.xml"), t.TempDir()
	profiles := file.Profiles.XML

	admin := file.account(t, "sluice_admin").as(t, dir, profiles)
	if _, err := Migrate(t.Context(), admin.settings()); err != nil {
		t.Fatal(err)
	}
	admin.kill()

	sinkUser := file.account(t, "sluice_sink").as(t, dir, profiles)
	mq := startBroker(t)
	conn := connect(t, mq)
	s := startSink(t, testConfig(mq.ClientURL(), sinkUser.url))
	publishEvents(t, conn, 500)
	publish(t, conn, cleanMsg("lab", "login", "lab", `{"user":{"username":"lea"},"context":{}}`),
		cleanMsg("acme", "login", "person", `{"user":{"username":"ann"},"context":{}}`))
	acknowledged(t, conn)
	again, err := sinkUser.try("SELECT pk FROM sluice.events LIMIT 1")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, conn, cleanMsg("acme", "login", "again", `{"pk":"`+again+`","context":{}}`)) // is looked up
	acknowledged(t, conn)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if got := sinkUser.query(t, countRows); got != rows(502) {
		t.Errorf("the sink stored %q", got)
	}
	sinkUser.refuses(t, "the sink", append([]string{
		"SELECT context FROM sluice.events", "SELECT username FROM sluice.events", "SELECT * FROM sluice.failed_logins(since = now(), until = now())",
		"INSERT INTO sluice.schema_version (version_id) VALUES (99)",
	}, changes...)...)
	empty := ClickHouse{ClickHouseURL: sinkUser.url}
	if _, err := migrate(t.Context(), empty, fstest.MapFS{"0099_more.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}); err == nil || !strings.Contains(err.Error(), "run `sink migrate` as one who may") {
		t.Errorf("the sink migrates: %v", err)
	}
	sinkUser.kill()

	analyst := file.account(t, "sluice_analyst").as(t, dir, profiles)
	if got := analyst.query(t, "SELECT count(), uniqExact(tenant) FROM sluice.events"); got != "502\t2" {
		t.Errorf("the analyst sees %q", got)
	}
	asksEveryView(t, analyst)
	readers := append([]string{"INSERT INTO sluice.events (pk) SELECT generateUUIDv4()", "SELECT * FROM sluice.schema_version", "SET readonly = 0"}, changes...)
	analyst.refuses(t, "the analyst", readers...)
	analyst.kill()

	for tenant, want := range map[string]string{"acme": "501\t1", "nobody": "0\t0"} {
		ann := tenantAnalyst(t, tenant, placement{}).as(t, dir, profiles)
		if got := ann.query(t, "SELECT count(), uniqExact(tenant) FROM sluice.events"); got != want {
			t.Errorf("the analyst of %s sees %q, want %q", tenant, got, want)
		}
		if got := ann.query(t, "SELECT sum(events), uniqExact(tenant) FROM sluice.events_by_hour"); got != want {
			t.Errorf("in the rollup the analyst of %s sees %q, want %q", tenant, got, want)
		}
		if got := ann.query(t, "SELECT countIf(tenant != '"+tenant+"') FROM sluice.first_logins(since = '2020-01-01 00:00:00', until = '2100-01-01 00:00:00')"); got != "0" {
			t.Errorf("in a view the analyst of %s sees logins of others", tenant)
		}
		asksEveryView(t, ann)
		ann.refuses(t, "the analyst of "+tenant, readers...)
		ann.kill()
	}

	// What the administrator looks after.
	admin = file.account(t, "sluice_admin").as(t, dir, profiles)
	cfg := testConfig(mq.ClientURL(), admin.url)
	if err := SetRetention(t.Context(), cfg, []string{"*=20d"}, false, new(strings.Builder), nil); err != nil {
		t.Errorf("retention: %v", err)
	}
	var out strings.Builder
	if err := Erase(t.Context(), cfg, Erasure{User: "ann"}, &out, nil); err != nil || !strings.Contains(out.String(), "Erased 1 events from the table") {
		t.Errorf("erase: %v\n%s", err, &out)
	}
	if _, err := ShowRetention(t.Context(), cfg); err != nil {
		t.Errorf("show: %v", err)
	}
}

// asksEveryView reads every view that there is.
func asksEveryView(t *testing.T, e *engine) {
	t.Helper()
	page, err := os.ReadFile("../docs/analysts.md")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, block := range strings.Split(string(page), "```sql\n")[1:] {
		sql, _, _ := strings.Cut(block, "```")
		e.query(t, sql)
		asked++
	}
	if asked < 10 {
		t.Errorf("asked %d questions", asked)
	}
}

// The analyst of everything is granted what the role of roles.sql is, no default user is
// left, and every password is a hash from the environment, by the name that entrypoint.sh
// gives it.
func TestDeployedUsersFile(t *testing.T) {
	t.Parallel()
	file := deployedUsers(t, "clickhouse/users.d/sluice.xml")
	entrypoint, err := os.ReadFile("../deploy/clickhouse/entrypoint.sh")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range file.Users.Each {
		names = append(names, u.XMLName.Local)
		if u.XMLName.Local == "default" {
			if u.Remove != "remove" {
				t.Error("the default user is left")
			}
			continue
		}
		short := strings.TrimPrefix(u.XMLName.Local, "sluice_")
		if want := "CLICKHOUSE_" + strings.ToUpper(short) + "_PASSWORD_SHA256"; u.Hash.FromEnv != want || !strings.Contains(string(entrypoint), " "+short) {
			t.Errorf("%s has its password from %q, want %s", u.XMLName.Local, u.Hash.FromEnv, want)
		}
	}
	if want := []string{"default", "sluice_sink", "sluice_admin", "sluice_analyst"}; !slices.Equal(names, want) {
		t.Errorf("users %q, want %q", names, want)
	}
	var want []string
	for _, statement := range roleStatements(placement{}) {
		if what, to, found := strings.Cut(statement, " TO "); found && strings.HasPrefix(what, "GRANT ") && strings.Contains(to, "sluice_analyst") {
			want = append(want, strings.Join(strings.Fields(what), " "))
		}
	}
	if got := file.account(t, "sluice_analyst").grants; !slices.Equal(got, want) {
		t.Errorf("the user sluice_analyst is granted\n%q, its role\n%q", got, want)
	}
}

// The users of a cluster do their work on an engine that is a cluster of one.
func TestDeployedClusterUsers(t *testing.T) {
	t.Parallel()
	file, dir := deployedUsers(t, "cluster/clickhouse/users.d/sluice.xml"), t.TempDir()
	more := strings.TrimSuffix(strings.TrimPrefix(clusterConfig, "<clickhouse>"), "</clickhouse>")
	as := func(a account) (*engine, *engine) {
		e, err := launch(dir, "127.0.0.1:0", "-config", a.config(t, file.Profiles.XML, more))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.kill)
		return e, clusterOf(t, e)
	}
	admin, cluster := as(file.account(t, "sluice_admin"))
	if _, err := Migrate(t.Context(), cluster.settings()); err != nil {
		t.Fatal(err)
	}
	admin.kill()

	sinkUser, cluster := as(file.account(t, "sluice_sink"))
	mq := startBroker(t)
	conn := connect(t, mq)
	cfg := testConfig(mq.ClientURL(), cluster.url)
	cfg.Cluster = testCluster
	s := startSink(t, cfg)
	publishEvents(t, conn, 500)
	publish(t, conn, cleanMsg("lab", "login", "lab", `{"user":{"username":"lea"},"context":{}}`))
	acknowledged(t, conn)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if got := sinkUser.query(t, countRows); got != rows(501) {
		t.Errorf("the sink stored %q", got)
	}
	sinkUser.refuses(t, "the sink", append([]string{"SELECT context FROM sluice.events", "SELECT context FROM sluice.events_local"}, changes...)...)
	sinkUser.kill()

	for want, who := range map[string]account{
		"501\t2": file.account(t, "sluice_analyst"), "500\t1": tenantAnalyst(t, "acme", placement{cluster: testCluster}),
	} {
		reader, _ := as(who)
		if got := reader.query(t, "SELECT count(), uniqExact(tenant) FROM sluice.events"); got != want {
			t.Errorf("an analyst sees %q, want %q", got, want)
		}
		if got := reader.query(t, "SELECT count(), uniqExact(tenant) FROM sluice.events_local"); got != want {
			t.Errorf("in the shard an analyst sees %q, want %q", got, want)
		}
		asksEveryView(t, reader)
		reader.refuses(t, "an analyst", changes...)
		reader.kill()
	}

	_, cluster = as(file.account(t, "sluice_admin"))
	cfg = testConfig(mq.ClientURL(), cluster.url)
	cfg.Cluster = testCluster
	if err := SetRetention(t.Context(), cfg, []string{"*=20d"}, false, new(strings.Builder), nil); err != nil {
		t.Errorf("retention: %v", err)
	}
	if _, err := ShowRetention(t.Context(), cfg); err != nil {
		t.Errorf("show: %v", err)
	}
	if _, err := CompleteCluster(t.Context(), cfg.ClickHouse); err != nil {
		t.Errorf("complete: %v", err)
	}
}
