package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (s *stack) pid(name string) int {
	pid, _ := strconv.Atoi(s.podman("inspect", "--format", "{{.State.Pid}}", s.container(name)))
	return pid
}

// checkConfined looks at the containers' processes from outside.
func (s *stack) checkConfined(t *testing.T) {
	t.Helper()
	for _, name := range s.running() {
		pid := s.pid(name)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if pid == 0 || err != nil {
			t.Errorf("%s does not run: %v", name, err)
			continue
		}
		for what, wrong := range map[string]string{
			"runs as root":                     `(?m)^Uid:.*\s0\b`,
			"has capabilities":                 `(?m)^Cap(Inh|Prm|Eff|Bnd|Amb):\s*0*[1-9a-f]`,
			"may get privileges by a program":  `(?m)^NoNewPrivs:\s0`,
			"may make whatever system call":    `(?m)^Seccomp:\s0`,
			"runs with the group of the super": `(?m)^Gid:.*\s0\b`,
		} {
			if regexp.MustCompile(wrong).Match(status) {
				t.Errorf("%s %s", name, what)
			}
		}
		err = os.WriteFile(fmt.Sprintf("/proc/%d/root/written", pid), []byte("x"), 0o600)
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: writing to its file system: %v, want that it is read-only", name, err)
		}
		limits := s.podman("inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", s.container(name))
		service := s.project.Services[name]
		if want := fmt.Sprintf("%d %d", int64(service.MemLimit), int64(service.CPUS*1e9)); limits != want {
			t.Errorf("%s: limits of memory and CPU %s, want %s", name, limits, want)
		}
		uid := regexp.MustCompile(`(?m)^Uid:\s(\d+)`).FindStringSubmatch(string(status))
		t.Logf("%s: uid %s, read-only, no capabilities, %s bytes and nanocpus at most", name, uid[1], limits)
	}
}

// checkNetworks: the broker's side reaches the services; ClickHouse's side knows no
// name of it.
func (s *stack) checkNetworks(t *testing.T) {
	t.Helper()
	if _, err := s.try("podman", "exec", s.container("nats"), "wget", "-q", "-O", "-", "http://redactor:8081/readyz"); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"nats:8222", "redactor:8081", "notifier:8083", "door:8090"} {
		if _, err := s.try("podman", "exec", s.container("clickhouse"), "wget", "-q", "-T", "3", "-t", "1", "-O", "-", "http://"+other); err == nil {
			t.Errorf("ClickHouse reaches %s", other)
		}
	}
	if _, err := s.try("podman", "exec", s.container("nats"), "wget", "-q", "-T", "3", "-O", "-", "https://clickhouse:8443/ping"); err == nil {
		t.Error("the broker reaches ClickHouse")
	}
}

// checkKilled kills each container's process while events come in: each comes back by
// itself, and no event is lost or there twice.
func (s *stack) checkKilled(t *testing.T) {
	t.Helper()
	const n = 3000
	before, err := s.ask("SELECT count() FROM sluice.events")
	if err != nil {
		t.Fatal(err)
	}
	stored, _ := strconv.Atoi(before)
	p := start(t, nil, s.as("producer-default"), "producer", "generate", "-n", strconv.Itoa(n), "-rate", "150", "-seed", "99", "-start", "now", "-publish")
	for _, name := range s.running() {
		pid := s.pid(name)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s: %v", name, err)
		}
		began := time.Now()
		until(t, name+" is back", func() error {
			if now := s.pid(name); now == 0 || now == pid {
				return errors.New("it is not started again")
			}
			return s.healthy(name)
		})
		t.Logf("%s: killed, and healthy again after %s", name, time.Since(began).Round(100*time.Millisecond))
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("generate -publish: exit %d", code)
	}
	var published, duplicate int
	if _, err := fmt.Sscanf(p.stdout.String(), "published %d, duplicate %d, refused 0", &published, &duplicate); err != nil || published+duplicate != n {
		t.Errorf("generate -publish: %s", p.stdout.String())
	}
	s.untilRows(t, stored+n)
	for _, name := range s.running() {
		until(t, name+" is healthy", func() error { return s.healthy(name) })
	}
}

// checkDown goes down, and leaves no container and no volume.
func (s *stack) checkDown(t *testing.T) {
	t.Helper()
	s.compose("down", "-v")
	s.gone = true
	for _, what := range [][]string{{"ps", "-aq"}, {"volume", "ls", "-q"}} {
		if left := strings.Fields(s.podman(what...)); len(left) != 0 {
			t.Errorf("podman %s: %v are left", strings.Join(what, " "), left)
		}
	}
}
