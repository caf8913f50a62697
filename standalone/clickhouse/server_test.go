package clickhouse

import (
	"bytes"
	"context"
	"encoding/xml"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]version{
		"ClickHouse local version 26.7.2.1 (official build).":     {26, 7},
		"ClickHouse server version 25.8.1.5101 (official build).": {25, 8},
		"ClickHouse client version 18.16.1.":                      {18, 16},
		"":                                                        {},
		"version 5":                                               {},
		"version 99999.1.1":                                       {},
	} {
		got, ok := parseVersion(output)
		if got != want || ok != (want != version{}) {
			t.Errorf("parseVersion(%q) = %v, %t, want %v", output, got, ok, want)
		}
	}
	for found, old := range map[version]bool{{26, 6}: true, {25, 12}: true, {26, 7}: false, {26, 10}: false, {27, 1}: false} {
		if got := found.before(oldestServer); got != old {
			t.Errorf("%v before %v = %t, want %t", found, oldestServer, got, old)
		}
	}
}

func TestServerConfigGolden(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	err := serverConfig.Execute(&got, map[string]any{"Host": "127.0.0.1", "Port": "8123", "Dir": "/data/a & <b>", "MemoryBytes": int64(2 << 30)})
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "server-config.xml")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
	}
}

// playServer is an installed ClickHouse as far as starting it goes: it prints its
// version, and serves /ping where its configuration says.
func playServer(version string, args []string) int {
	if args[0] == "--version" {
		fmt.Fprintf(os.Stdout, "ClickHouse local version %s (official build).\n", version)
		return 0
	}
	path, found := strings.CutPrefix(args[1], "--config-file=")
	if args[0] != "server" || !found {
		fmt.Fprintln(os.Stderr, "unknown arguments", args)
		return 1
	}
	text, err := os.ReadFile(path) // #nosec G304 -- the path that the test wrote
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var config struct {
		Host string `xml:"listen_host"`
		Port string `xml:"http_port"`
	}
	if err := xml.Unmarshal(text, &config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server := &http.Server{Addr: net.JoinHostPort(config.Host, config.Port), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "Ok.\n")
	})} // #nosec G112 -- a test
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	return 1
}

// install puts an executable called clickhouse on PATH that plays the version.
func install(t *testing.T, version string) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s \"$@\"\n", roleVariable, version, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "clickhouse"), []byte(script), 0o700); err != nil { // #nosec G306 -- it must be executable
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestServerOnPathIsPreferred(t *testing.T) {
	install(t, "26.8.1.1")
	dir := t.TempDir()
	process := start(t, dir, nil)
	if process.command.Args[1] != "server" {
		t.Errorf("started %v, want the server", process.command.Args)
	}
	response, err := http.Get(process.URL() + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if _, err := os.Stat(filepath.Join(dir, "server", "config.xml")); err != nil {
		t.Error(err)
	}
	_ = process.Stop(context.Background()) // it knows no other end than a signal's
	select {
	case <-process.Done():
	default:
		t.Error("it has not ended")
	}
}

func TestOldServerOnPathIsPassedOver(t *testing.T) {
	install(t, "18.16.1.1")
	var logged syncBuffer
	process := start(t, t.TempDir(), slog.New(slog.NewTextHandler(&logged, nil)))
	if got := post(t, process.URL(), "SELECT 1"); got != "1\n" {
		t.Errorf("got %q", got)
	}
	if got := logged.String(); strings.Count(got, "passing over the ClickHouse on PATH") != 1 || !strings.Contains(got, "version=18.16") {
		t.Errorf("log:\n%s", got)
	}
}

// TestDataStaysWithItsEngine holds that a server which is installed later does
// not take over a directory of the embedded engine.
func TestDataStaysWithItsEngine(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, embeddedFolder, "metadata"), 0o700); err != nil {
		t.Fatal(err)
	}
	install(t, "26.8.1.1")
	if got := post(t, start(t, dir, nil).URL(), "SELECT 1"); got != "1\n" {
		t.Errorf("got %q", got)
	}
}
