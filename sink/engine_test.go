package sink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// engine is a real ClickHouse in its own process, the embedded one.
type engine struct {
	address, url string
	// cluster is the one that it is, if any.
	cluster string
	cmd     *exec.Cmd
	stdin   io.Closer
}

// launch starts ClickHouse on the directory; port 0 takes a free one.
func launch(dir, address string, flags ...string) (*engine, error) {
	bin := os.Getenv("SLUICE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(bin, "clickhouse-embedded"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no embedded ClickHouse at %s: run `make build engine`", path)
	}
	e := &engine{cmd: exec.Command(path, append([]string{"-addr", address, "-path", dir}, flags...)...)}
	var stderr bytes.Buffer
	e.cmd.Stderr = &stderr
	if e.stdin, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !found {
		e.kill()
		return nil, fmt.Errorf("the embedded ClickHouse did not start: %w: %s%s", err, line, stderr.String())
	}
	e.url, e.address = url, strings.TrimPrefix(url, "http://")
	return e, nil
}

// settings are how to reach it.
func (e *engine) settings() ClickHouse { return ClickHouse{ClickHouseURL: e.url, Cluster: e.cluster} }

// kill ends the process with SIGKILL.
func (e *engine) kill() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
	_ = e.stdin.Close()
}

// ownEngine starts a ClickHouse for one test, which may kill it.
func ownEngine(t *testing.T, dir, address string) *engine {
	t.Helper()
	e, err := launch(dir, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.kill)
	return e
}

// shared is the ClickHouse of all tests that do not harm it.
var shared struct {
	*engine
	dir string
	err error
}

// cleanEngine returns the shared ClickHouse without a database of ours.
func cleanEngine(t *testing.T) *engine {
	t.Helper()
	if shared.engine == nil && shared.err == nil {
		//nolint:usetesting // it outlives this test
		if shared.dir, shared.err = os.MkdirTemp("", "sink-engine-"); shared.err == nil {
			shared.engine, shared.err = launch(shared.dir, "127.0.0.1:0")
		}
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	shared.query(t, "DROP DATABASE IF EXISTS sluice SYNC")
	return shared.engine
}

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain())
	}
	code := m.Run()
	if shared.engine != nil {
		shared.kill()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// query runs a statement and returns what it prints.
func (e *engine) query(t *testing.T, statement string) string {
	t.Helper()
	out, err := e.try(statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return out
}

func (e *engine) try(statement string) (string, error) {
	resp, err := http.Post(e.url, "text/plain", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("HTTP %d: %s", resp.StatusCode, body))
	}
	return strings.TrimSpace(string(body)), errors.Join(err, resp.Body.Close())
}
