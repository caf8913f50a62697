package sink

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/daemon"
)

const testCluster = "events-eu"

// clusterStatements are all that a cluster is told, in its order.
func clusterStatements(t *testing.T) []string {
	t.Helper()
	p := placement{cluster: testCluster}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := p.clusterSteps(files)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{"CREATE DATABASE IF NOT EXISTS sluice" + p.onCluster(), p.versionStatement()}
	for _, s := range steps {
		out = append(out, s.statements...)
	}
	out = append(out, roleStatements(p)...)
	stored := storedEvents{place: p}
	out = append(out, stored.listStatements(Erasure{User: "ann"})...)
	out = append(out, "TRUNCATE TABLE IF EXISTS "+erasingTable+p.onCluster(), stored.oldParts(time.Unix(0, 0)))
	out = append(out, "ALTER TABLE "+p.rowsTable()+p.onCluster()+" DELETE WHERE 0, UPDATE leaves = cohort WHERE 0")
	return out
}

// What a cluster is told stands in a golden file, and ClickHouse's parser reads it all.
func TestClusterStatements(t *testing.T) {
	statements := clusterStatements(t)
	text := strings.Join(statements, ";\n\n") + ";\n"
	golden := filepath.Join("testdata", "cluster.sql")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != text {
		t.Errorf("%s is not what a cluster is told: go test ./sink -run TestClusterStatements -update (%v)", golden, err)
	}
	ch := cleanEngine(t)
	for _, statement := range statements {
		if out, err := ch.try("EXPLAIN AST " + statement); err != nil || out == "" {
			t.Errorf("%.80s…: %v", statement, err)
		}
		changes := !strings.HasPrefix(statement, "SELECT") && !strings.HasPrefix(statement, "INSERT")
		if changes && !strings.Contains(statement, " ON CLUSTER '"+testCluster+"'") {
			t.Errorf("this is for one server alone: %.80s…", statement)
		}
	}
}

// Every statement of the migrations from version 4 on is for all servers.
func TestMigrationsAreMarkedForClusters(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name < fmt.Sprintf("migrations/%04d", clusterBase+1) {
			continue
		}
		text, err := fs.ReadFile(migrationFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statementsOf(string(text)) {
			if !strings.Contains(statement, onClusterMark) {
				t.Errorf("%s: no %s in %.60s…", name, onClusterMark, statement)
			}
		}
	}
}

// clusterConfig is a cluster of one server that is the embedded engine itself.
const clusterConfig = `<clickhouse>
    <tcp_port>9000</tcp_port>
    <remote_servers><events-eu><shard>
        <internal_replication>true</internal_replication>
        <replica><host>127.0.0.1</host><port>9000</port></replica>
    </shard></events-eu></remote_servers>
    <macros><shard>1</shard><replica>r1</replica></macros>
</clickhouse>`

// withoutKeeper is what the embedded engine lacks for a cluster: it has no Keeper, does
// not serve other replicas, and refuses statements for all servers.
var withoutKeeper = []struct {
	is  *regexp.Regexp
	was string
}{
	{regexp.MustCompile(` ON CLUSTER '[^']+'`), ""},
	{regexp.MustCompile(`Replicated(Replacing|)MergeTree\('[^']+', '[^']+'\)`), "${1}MergeTree"},
	{regexp.MustCompile(`\breplicated_deduplication_window = `), "non_replicated_deduplication_window = "},
	{regexp.MustCompile(`replicated_deduplication_window_seconds = \d+,`), ""},
	{regexp.MustCompile(`SYSTEM SYNC REPLICA \S+`), "SELECT 1"},
}

// launchCluster starts an engine with a configuration.
func launchCluster(t *testing.T, config string) *engine {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.xml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := launch(t.TempDir(), "127.0.0.1:0", "-config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.kill)
	return e
}

// startCluster starts an engine that is a cluster of one, and a proxy before it which
// takes from the statements what needs Keeper. Everything else is as on any cluster: the
// Distributed table and its settings, the look-ups, the views.
func startCluster(t *testing.T) *engine {
	t.Helper()
	return clusterOf(t, launchCluster(t, clusterConfig))
}

// clusterOf puts the proxy before an engine.
func clusterOf(t *testing.T, e *engine) *engine {
	t.Helper()
	target, err := url.Parse(e.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if strings.HasPrefix(r.In.URL.Query().Get("query"), "INSERT") {
				return // rows follow in the body
			}
			body, err := io.ReadAll(r.In.Body)
			if err != nil {
				return
			}
			for _, w := range withoutKeeper {
				body = w.is.ReplaceAll(body, []byte(w.was))
			}
			r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return &engine{url: server.URL, address: strings.TrimPrefix(server.URL, "http://"), cluster: testCluster}
}

// A sink on a cluster stores each event once, also when answers get lost, finds what is
// published again, and its events can be asked for and erased.
func TestServiceOnACluster(t *testing.T) {
	t.Parallel()
	ch, mq := startCluster(t), startBroker(t)
	conn := connect(t, mq)
	proxy, dropped := lossyProxy(t, ch.url, func(n int64) bool { return n%3 == 1 })
	cfg := testConfig(mq.ClientURL(), proxy)
	cfg.Cluster, cfg.BatchRows = testCluster, 300
	publishEvents(t, conn, 3000)
	s := startSink(t, cfg)
	eventuallyQuery(t, ch, countRows, rows(3000))
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(3000) || dropped.Load() < 3 {
		t.Errorf("got %q after %d lost answers", got, dropped.Load())
	}
	if got := ch.query(t, "SELECT count(), (SELECT engine FROM system.tables WHERE database = 'sluice' AND name = 'events') FROM sluice.events_local"); got != "3000\tDistributed" {
		t.Errorf("in the shard: %q", got)
	}
	// Published again under other ids of messages, and by a sink that has just begun.
	again := ch.query(t, "SELECT pk FROM sluice.events LIMIT 1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Telemetry = daemon.NewTelemetry()
	startSink(t, cfg)
	publish(t, conn, cleanMsg("acme", "login", "again", `{"pk":"`+again+`","user":{"username":"ann"},"context":{}}`),
		cleanMsg("acme", "login", "new", `{"pk":"8c1cbc4e-8d0c-4d0c-9b4e-0d8a31a4f001","user":{"username":"ann"},"context":{}}`))
	eventuallyQuery(t, ch, countRows, rows(3001))
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(3001) {
		t.Errorf("got %q", got)
	}

	// The engine takes its time to remove files, unless it is told to look for them,
	// which would end a mutation.
	erased := make(chan struct{})
	go func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-erased:
				return
			case <-tick.C:
				if left, err := ch.try("SELECT count() FROM sluice.events WHERE username = 'ann'"); err == nil && left == "0" {
					_, _ = ch.try(strings.ReplaceAll(nudge, eventsTable, "sluice.events_local"))
				}
			}
		}
	}()
	var out bytes.Buffer
	direct := cfg
	direct.ClickHouseURL = ch.url
	if err := Erase(t.Context(), direct, Erasure{User: "ann"}, &out, nil); err != nil || !strings.Contains(out.String(), "Erased 1 events from the table") {
		t.Errorf("erase: %v\n%s", err, &out)
	}
	close(erased)
	if got := ch.query(t, countRows); got != rows(3000) {
		t.Errorf("after the erasure: %q", got)
	}
	out.Reset()
	if err := SetRetention(t.Context(), direct, []string{"*=20d"}, false, &out, nil); err != nil || !strings.Contains(out.String(), "Done: ") {
		t.Errorf("retention: %v\n%s", err, &out)
	}
	if report, err := ShowRetention(t.Context(), direct); err != nil || len(report.Tenants) != 1 || report.Tenants[0].Bytes == 0 || report.Tenants[0].Differ == 0 {
		t.Errorf("show: %+v, %v", report, err)
	}
}

// The views answer on a cluster as on one server.
func TestClusterViews(t *testing.T) {
	t.Parallel()
	ch := startCluster(t)
	server := ch.settings()
	applied, err := Migrate(t.Context(), server)
	if err != nil || len(applied) == 0 || applied[0] != "0003_by_expiry" {
		t.Fatalf("applied %q, %v", applied, err)
	}
	if again, err := Migrate(t.Context(), server); err != nil || len(again) != 0 {
		t.Errorf("again: %q, %v", again, err)
	}
	if lacked, err := CompleteCluster(t.Context(), server); err != nil || lacked != 0 {
		t.Errorf("nothing is lacking, but: %d, %v", lacked, err)
	}
	ch.query(t, "DROP TABLE sluice.events SYNC")
	if lacked, err := CompleteCluster(t.Context(), server); err != nil || lacked != 1 {
		t.Errorf("a server lacks the table: %d, %v", lacked, err)
	}
	checkViews(t, ch)
}

// With a Keeper or ZooKeeper at hand (SLUICE_KEEPER=127.0.0.1:2181) the replicated tables
// are made in earnest. The engine cannot fill them: it does not serve other replicas,
// without which a replica stays read-only.
func TestClusterTablesInKeeper(t *testing.T) {
	keeper := os.Getenv("SLUICE_KEEPER")
	if keeper == "" {
		t.Skip("SLUICE_KEEPER is not set")
	}
	host, port, _ := strings.Cut(keeper, ":")
	ch := launchCluster(t, strings.Replace(clusterConfig, "<macros>", "<zookeeper><node><host>"+host+"</host><port>"+port+"</port></node></zookeeper><macros>", 1))
	t.Cleanup(func() { ch.query(t, "DROP DATABASE IF EXISTS sluice SYNC") }) // from Keeper too
	for _, statement := range clusterStatements(t) {
		if !strings.HasPrefix(statement, "CREATE") || strings.HasPrefix(statement, "CREATE RO") {
			continue
		}
		ch.query(t, strings.ReplaceAll(statement, " ON CLUSTER '"+testCluster+"'", ""))
	}
	for _, want := range []struct{ query, answer string }{
		{"SELECT name, engine FROM system.tables WHERE database = 'sluice' AND engine NOT LIKE '%View' ORDER BY name", "" +
			"erasing\tReplicatedMergeTree\nevents\tDistributed\nevents_local\tReplicatedReplacingMergeTree\nschema_version\tReplicatedMergeTree"},
		{"SELECT table, zookeeper_path, replica_name FROM system.replicas ORDER BY table", "" +
			"erasing\t/clickhouse/tables/sluice/erasing\t1-r1\nevents_local\t/clickhouse/tables/1/sluice/events\tr1\nschema_version\t/clickhouse/tables/sluice/schema_version\t1-r1"},
		{"SELECT count() FROM sluice.events", "0"},
	} {
		if got := ch.query(t, want.query); got != want.answer {
			t.Errorf("%s: got\n%s\nwant\n%s", want.query, got, want.answer)
		}
	}
}

// Settings and table have to agree, or two sinks would not see each other's rows.
func TestClusterIsChecked(t *testing.T) {
	ch := startCluster(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	one := cleanEngine(t)
	if _, err := Migrate(t.Context(), one.settings()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url, cluster, want string
	}{
		{ch.url, "", "set SINK_CLUSTER to its name"},
		{ch.url, "nonsense", "SINK_CLUSTER: ClickHouse knows no cluster nonsense"},
		{one.url, testCluster, "SINK_CLUSTER: ClickHouse knows no cluster " + testCluster},
	} {
		_, err := Migrate(t.Context(), ClickHouse{ClickHouseURL: tt.url, Cluster: tt.cluster})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("SINK_CLUSTER=%s: got %v, want %q", tt.cluster, err, tt.want)
		}
	}
	for _, name := range []string{"a b", "x'", "ü", strings.Repeat("x", 64)} {
		if err := (placement{cluster: name}).validate(); err == nil {
			t.Errorf("SINK_CLUSTER=%q is accepted", name)
		}
	}
}

// A cluster's read sees every acknowledged row, and its insert is answered by a majority.
func TestClusterSettings(t *testing.T) {
	t.Parallel()
	p := placement{cluster: testCluster}
	in, out := p.inserting(insertSettings("t")), p.reading(map[string]any{})
	for name, want := range map[string]any{
		"insert_quorum": "auto", "insert_quorum_parallel": 0, "distributed_foreground_insert": 1,
		"insert_deduplication_token": "t", "insert_deduplicate": 1, "async_insert": 0,
	} {
		if in[name] != want {
			t.Errorf("%s is %v, want %v", name, in[name], want)
		}
	}
	if out["select_sequential_consistency"] != 1 {
		t.Error("a look-up may miss what was acknowledged")
	}
	if alone := (placement{}).inserting(insertSettings("t")); len(alone) != len(insertSettings("t")) {
		t.Error("one server is told of a quorum")
	}
}
