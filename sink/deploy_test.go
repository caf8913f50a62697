package sink

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// element is a piece of ClickHouse's configuration.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

// all returns the elements at a path of names below.
func (e element) all(path ...string) []element {
	if len(path) == 0 {
		return []element{e}
	}
	var out []element
	for _, c := range e.Children {
		if c.XMLName.Local == path[0] {
			out = append(out, c.all(path[1:]...)...)
		}
	}
	return out
}

func (e element) text(path ...string) string {
	found := e.all(path...)
	if len(found) != 1 {
		return ""
	}
	return strings.TrimSpace(found[0].Text)
}

func readConfig(t *testing.T, name string) element {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var root element
	if err := xml.Unmarshal(text, &root); err != nil { //nolint:musttag // its fields take whatever there is
		t.Fatalf("%s: %v", name, err)
	}
	if root.XMLName.Local != "clickhouse" {
		t.Errorf("%s: the root is %s", name, root.XMLName.Local)
	}
	return root
}

// Every configuration is well-formed to its end.
func TestDeployedConfigurationIsXML(t *testing.T) {
	t.Parallel()
	found := 0
	for _, dir := range []string{"../deploy/clickhouse", "../deploy/cluster/clickhouse"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".xml" {
				return err
			}
			found++
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			decoder := xml.NewDecoder(file)
			for err == nil {
				_, err = decoder.Token()
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if found != 5 {
		t.Errorf("found %d files", found)
	}
}

// One server listens by TLS alone, and shows nobody's password.
func TestDeployedServer(t *testing.T) {
	t.Parallel()
	config := readConfig(t, "../deploy/clickhouse/config.d/sluice.xml")
	for _, port := range []string{"http_port", "tcp_port", "mysql_port", "postgresql_port", "interserver_http_port"} {
		if found := config.all(port); len(found) != 1 || len(found[0].Attrs) != 1 || found[0].Attrs[0].Value != "remove" {
			t.Errorf("%s is open", port)
		}
	}
	for path, want := range map[string]string{
		"https_port": "8443", "tcp_port_secure": "9440", "allow_no_password": "0", "allow_plaintext_password": "0",
		"openSSL/server/certificateFile": "/etc/clickhouse-server/keys/clickhouse.pem",
		"openSSL/server/privateKeyFile":  "/etc/clickhouse-server/keys/clickhouse-key.pem",
		"openSSL/server/caConfig":        "/etc/clickhouse-server/keys/ca.pem",
	} {
		if got := config.text(strings.Split(path, "/")...); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// The cluster is as the README and the statements of SINK_CLUSTER=sluice say.
func TestDeployedCluster(t *testing.T) {
	t.Parallel()
	config := readConfig(t, "../deploy/cluster/clickhouse/config.d/cluster.xml")
	keeper := readConfig(t, "../deploy/cluster/clickhouse/keeper/keeper_config.xml")
	page, err := os.ReadFile("../deploy/cluster/clickhouse/README.md")
	if err != nil {
		t.Fatal(err)
	}
	cluster := regexp.MustCompile(`SINK_CLUSTER=(\w+)`).FindStringSubmatch(string(page))
	if cluster == nil {
		t.Fatal("the README does not say what SINK_CLUSTER is")
	}
	shards := config.all("remote_servers", cluster[1], "shard")
	if len(shards) != 2 {
		t.Fatalf("cluster %s has %d shards", cluster[1], len(shards))
	}
	var hosts []string
	for _, shard := range shards {
		if shard.text("internal_replication") != "true" {
			t.Error("a shard without internal_replication")
		}
		replicas := shard.all("replica")
		if len(replicas) != 2 {
			t.Errorf("a shard of %d replicas", len(replicas))
		}
		for _, r := range replicas {
			hosts = append(hosts, r.text("host"))
			if r.text("port") != "9440" || r.text("secure") != "1" {
				t.Errorf("replica %s is not asked by TLS", r.text("host"))
			}
			if !strings.Contains(string(page), r.text("host")) {
				t.Errorf("the README does not know %s", r.text("host"))
			}
		}
	}
	if slices.Sort(hosts); len(slices.Compact(hosts)) != 4 {
		t.Errorf("hosts %q", hosts)
	}
	statements := placement{cluster: cluster[1]}.clusterStatement() + placement{}.versionStatement()
	for _, macro := range config.all("macros")[0].Children {
		if !strings.Contains(statements, "{"+macro.XMLName.Local+"}") {
			t.Errorf("no statement uses the macro %s", macro.XMLName.Local)
		}
	}
	for _, used := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(statements, -1) {
		if len(config.all("macros", used[1])) != 1 {
			t.Errorf("there is no macro %s", used[1])
		}
	}
	var asked, are []string
	for _, node := range config.all("zookeeper", "node") {
		asked = append(asked, node.text("host")+":"+node.text("port"))
	}
	for _, server := range keeper.all("keeper_server", "raft_configuration", "server") {
		are = append(are, server.text("hostname")+":"+keeper.text("keeper_server", "tcp_port_secure"))
	}
	if len(are) != 3 || !slices.Equal(asked, are) {
		t.Errorf("the servers ask Keepers %q, which are %q", asked, are)
	}
}

// Every variable that a configuration takes is one that the READMEs name or that
// entrypoint.sh sets.
func TestDeployedEnvironment(t *testing.T) {
	t.Parallel()
	fromEnv := regexp.MustCompile(`from_env="(\w+)"`)
	for config, explained := range map[string]string{
		"clickhouse/users.d/sluice.xml":               "clickhouse/README.md",
		"cluster/clickhouse/users.d/sluice.xml":       "clickhouse/README.md",
		"cluster/clickhouse/config.d/cluster.xml":     "cluster/clickhouse/README.md",
		"cluster/clickhouse/keeper/keeper_config.xml": "cluster/clickhouse/README.md",
	} {
		text, err := os.ReadFile(filepath.Join("..", "deploy", config))
		if err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(filepath.Join("..", "deploy", explained))
		if err != nil {
			t.Fatal(err)
		}
		found := fromEnv.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s takes nothing from the environment", config)
		}
		for _, name := range found {
			if !strings.Contains(string(page), name[1]) {
				t.Errorf("%s does not explain %s of %s", explained, name[1], config)
			}
		}
	}
}

// The entrypoint hands hashes over, and no password.
func TestEntrypoint(t *testing.T) {
	t.Parallel()
	script, keys := "../deploy/clickhouse/entrypoint.sh", t.TempDir()
	start := func() (string, error) {
		cmd := exec.Command("sh", script, "env")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CLICKHOUSE_KEYS=" + keys}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := start(); err == nil || !strings.Contains(out, "there is no password in "+keys+"/clickhouse-sink.password") {
		t.Errorf("without passwords: %v, %s", err, out)
	}
	for _, user := range []string{"sink", "analyst", "admin"} {
		if err := os.WriteFile(filepath.Join(keys, "clickhouse-"+user+".password"), []byte("hunter2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := start()
	const hash = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7" // of hunter2
	if err != nil || strings.Contains(out, "hunter2") || strings.Count(out, "_PASSWORD_SHA256="+hash) != 3 {
		t.Errorf("%v:\n%s", err, out)
	}
}
