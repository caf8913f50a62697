package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestStack is docker-compose.yml in containers, with two images swapped: it goes up,
// does what the pipeline promises through its published ports, comes back from kill -9
// of each container and goes down. `make containers-test` builds the images and names
// the stack.
func TestStack(t *testing.T) {
	if os.Getenv("E2E_STACK") == "" {
		t.Skip("the containers are tested by make containers-test")
	}
	s := &stack{t: t, project: composeProject(t, "docker-compose.yml", "deploy/containers/test.yml"), name: os.Getenv("E2E_STACK")}
	s.up()
	load := s.load(5000, 42)
	t.Run("pipeline", func(t *testing.T) { load.check(t, s) })
	t.Run("confined", func(t *testing.T) { s.checkConfined(t) })
	t.Run("networks", func(t *testing.T) { s.checkNetworks(t) })
	t.Run("killed", func(t *testing.T) { s.checkKilled(t) })
	t.Run("no secret anywhere", func(t *testing.T) { s.checkNoSecret(t, load) })
	s.logs()
	t.Run("down", func(t *testing.T) { s.checkDown(t) })
}

// stack is the containers of one project.
type stack struct {
	t       *testing.T
	project *types.Project
	name    string
	keys    string // folder of all keys
	client  *http.Client
	gone    bool // it went down
}

// up does what depends_on asks for, which not every podman-compose does.
func (s *stack) up() {
	s.t.Cleanup(s.down)
	began := time.Now()
	up := map[string]bool{}
	for len(up) < len(s.project.Services) {
		var next []string
		for name, service := range s.project.Services {
			ready := !up[name] && len(service.Profiles) == 0
			for dependency := range service.DependsOn {
				ready = ready && up[dependency]
			}
			if ready {
				next = append(next, name)
			}
		}
		if len(next) == 0 {
			break // what is left is of a profile
		}
		slices.Sort(next)
		s.compose(append([]string{"up", "-d", "--no-build"}, next...)...)
		for _, name := range next {
			if oneShot(s.project.Services[name]) {
				if code := s.podman("wait", s.container(name)); code != "0" {
					s.t.Fatalf("%s ended with %s", name, code)
				}
			} else {
				until(s.t, name+" is healthy", func() error { return s.healthy(name) })
			}
			up[name] = true
		}
	}
	s.t.Logf("up and healthy after %s: %d containers", time.Since(began).Round(100*time.Millisecond), len(up))
	s.keys = s.podman("volume", "inspect", "--format", "{{.Mountpoint}}", s.name+"_keys")
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM([]byte(s.key("ca.pem")))
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}}}
}

func (s *stack) container(service string) string { return s.name + "_" + service + "_1" }

// running are the services that are containers now, by name.
func (s *stack) running() []string {
	var names []string
	for name, service := range s.project.Services {
		if len(service.Profiles) == 0 && !oneShot(service) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// healthy runs the service's health check in its container, as compose has it: without
// a shell, which there is none of.
func (s *stack) healthy(name string) error {
	check := s.project.Services[name].HealthCheck.Test
	_, err := s.try("podman", append([]string{"exec", s.container(name)}, check[1:]...)...)
	return err
}

func (s *stack) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.project.WorkingDir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), err
}

func (s *stack) podman(args ...string) string {
	s.t.Helper()
	out, err := s.try("podman", args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stack) compose(args ...string) {
	s.t.Helper()
	if _, err := s.try("podman-compose", append([]string{"-p", s.name, "-f", "docker-compose.yml", "-f", "deploy/containers/test.yml"}, args...)...); err != nil {
		s.t.Fatal(err)
	}
}

// down is for a test that ended before checkDown.
func (s *stack) down() {
	if s.gone {
		return
	}
	s.logs()
	s.compose("down", "-v")
}

func (s *stack) logs() {
	if !s.t.Failed() {
		return
	}
	for _, name := range append(s.running(), "keys") {
		out, err := s.logsOf(name)
		s.t.Logf("%s logged (%v)\n%s", name, err, tail(out))
	}
}

// logsOf is what a container wrote, to either output, over its restarts.
func (s *stack) logsOf(name string) (string, error) {
	out, err := exec.CommandContext(context.Background(), "podman", "logs", s.container(name)).CombinedOutput()
	return string(out), err
}

// key reads one file of the keys.
func (s *stack) key(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.keys, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// published is where a port of a container is reached from here.
func (s *stack) published(service string) string {
	s.t.Helper()
	port := s.project.Services[service].Ports[0].Target
	return s.podman("port", s.container(service), strconv.Itoa(int(port)))
}

// as are the settings of a command as one of the broker's users.
func (s *stack) as(user string) []string {
	return []string{
		"NATS_URL=tls://" + s.published("nats"), "NATS_CA=" + filepath.Join(s.keys, "ca.pem"),
		"NATS_NKEY_FILE=" + filepath.Join(s.keys, user+".nk"),
	}
}

// connect is a NATS client as one of the broker's users.
func (s *stack) connect(user, inbox string) (*nats.Conn, jetstream.JetStream) {
	s.t.Helper()
	seed, err := nats.NkeyOptionFromSeed(filepath.Join(s.keys, user+".nk"))
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := nats.Connect("tls://"+s.published("nats"), seed, nats.RootCAs(filepath.Join(s.keys, "ca.pem")), nats.CustomInboxPrefix(inbox))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return nc, js
}

// ask asks ClickHouse as an analyst.
func (s *stack) ask(sql string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+s.published("clickhouse")+"/", strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("sluice_analyst", s.key("clickhouse-analyst.password"))
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// untilRows waits until so many events are stored, and holds that none is stored twice.
func (s *stack) untilRows(t *testing.T, want int) {
	t.Helper()
	until(t, fmt.Sprintf("%d events are stored", want), func() error {
		got, err := s.ask("SELECT count(), uniqExact(pk) FROM sluice.events")
		if err == nil && got != fmt.Sprintf("%d\t%d", want, want) {
			err = fmt.Errorf("got %q, rows and distinct ids", got)
		}
		return err
	})
}
