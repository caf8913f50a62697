package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/producer/generate"
	"sluice/schemas"
)

// A stop in mid-load, by SIGTERM and by SIGKILL, of standalone and of its engine
// alone: what the publisher was told is stored is there once afterwards.
func TestStopInMidLoad(t *testing.T) {
	t.Parallel()
	const n = 30_000
	tests := []struct {
		name string
		stop func(t *testing.T, s *system)
	}{
		{"SIGTERM", func(_ *testing.T, s *system) { s.stop() }},
		{"SIGKILL", func(t *testing.T, s *system) { t.Helper(); s.signal(t, syscall.SIGKILL); <-s.done }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startSystem(t)
			ndjson, secrets, _ := generated(n, 1)
			load := start(t, strings.NewReader(ndjson), s.as("producer-default"), "producer", "publish")
			for k := range 3 {
				s.until("some rows are there", func() error {
					rows, err := s.query("SELECT count() FROM sluice.events")
					if err != nil {
						return err
					}
					if count, err := strconv.Atoi(rows); err != nil || count < (k+1)*n/10 {
						return fmt.Errorf("%s rows", rows)
					}
					return nil
				})
				engine := enginePID(t, s)
				tt.stop(t, s)
				until(t, "the engine has ended with standalone", func() error { return gone(engine) })
				s.start()
			}
			if code := load.wait(t); code != 0 || !strings.Contains(load.stdout.String(), "refused 0\n") {
				t.Fatalf("publish: exit %d\n%s%s", code, load.stdout.String(), load.stderr.String())
			}
			s.untilRows(n)
			_, js := s.connect()
			s.until("nothing is left to redact", func() error {
				if left := streamState(t, js, schemas.StreamRaw).Msgs; left != 0 {
					return fmt.Errorf("%d are left", left)
				}
				return nil
			})
			if got := s.must("SELECT count() FROM sluice.events"); got != strconv.Itoa(n) {
				t.Errorf("got %s rows, want %d", got, n)
			}
			checkNoSecret(t, s, secrets, generate.Marker(1))
		})
	}
}

// A stop while it starts is a stop like any other: no error, and no engine left.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	notLocked(t, "standalone is what is tested")
	dir := t.TempDir()
	for _, after := range []int{5, 20, 50, 100, 200} {
		p := start(t, nil, []string{
			"STANDALONE_DIR=" + dir, "STANDALONE_NATS_ADDR=" + freeAddr(t), "LOG_LEVEL=warn",
			"STANDALONE_CLICKHOUSE_ADDR=" + freeAddr(t), "STANDALONE_HTTP_ADDR=" + freeAddr(t),
		}, "standalone")
		// Until the folder is there it may not have come to listen for signals.
		until(t, "it has begun", func() error {
			select {
			case <-p.done:
				t.Fatalf("it ended: %v, stderr %q", p.err, p.stderr.String())
			default:
			}
			_, err := os.Stat(filepath.Join(dir, "nats"))
			return err
		})
		<-time.After(time.Duration(after) * time.Millisecond)
		p.signal(t, syscall.SIGTERM)
		if code := p.wait(t); code != 0 || p.stderr.String() != "" {
			t.Errorf("%d ms after it began: exit %d, stderr %q", after, code, p.stderr.String())
		}
		if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
			t.Fatal(err)
		}
	}
}

// The engine dies by itself: standalone starts it again, and the sink goes on.
func TestEngineDiesInMidLoad(t *testing.T) {
	t.Parallel()
	notLocked(t, "standalone is what starts the engine again")
	const n = 10_000
	s := startSystem(t)
	ndjson, _, _ := generated(n, 2)
	load := start(t, strings.NewReader(ndjson), s.as("producer-default"), "producer", "publish")
	for range 2 {
		s.until("some rows are there", func() error {
			rows, err := s.query("SELECT count() FROM sluice.events")
			if err == nil && rows == "0" {
				err = fmt.Errorf("none yet")
			}
			return err
		})
		engine := enginePID(t, s)
		if err := syscall.Kill(engine, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "the engine has ended", func() error { return gone(engine) })
	}
	if code := load.wait(t); code != 0 {
		t.Fatalf("publish: exit %d\n%s", code, load.stderr.String())
	}
	s.untilRows(n)
}

// enginePID is the process of the engine: the child of this standalone.
func enginePID(t *testing.T, s *system) int {
	t.Helper()
	if s.lock != nil {
		return s.lock.store.cmd.Process.Pid
	}
	var pid int
	s.until("the engine runs", func() error {
		out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pid=,ppid=,args=").Output()
		if err != nil {
			return fmt.Errorf("list the processes: %w (install ps)", err)
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.Fields(line)
			if len(fields) > 2 && fields[1] == strconv.Itoa(s.cmd.Process.Pid) && strings.Contains(line, "clickhouse") {
				pid, err = strconv.Atoi(fields[0])
				return err
			}
		}
		return fmt.Errorf("not among the children")
	})
	return pid
}

// gone reports whether the process has ended; one that waits to be reaped has.
func gone(pid int) error {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if os.IsNotExist(err) || err == nil && strings.Contains(string(stat), ") Z ") {
		return nil
	}
	if err := syscall.Kill(pid, 0); err != nil {
		return nil //nolint:nilerr // no such process is what was asked for
	}
	return fmt.Errorf("process %d still runs", pid)
}

// The same events published again, long after, are stored once.
func TestPublishAgain(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	ndjson, _, _ := generated(2000, 3)
	publish(s, ndjson)
	s.untilRows(2000)
	stdout, stderr, code := s.run(strings.NewReader(ndjson), "producer", "publish")
	if code != 0 || !strings.HasSuffix(stdout, "published 0, duplicate 2000, refused 0\n") {
		t.Errorf("within the broker's window: exit %d, got %q\n%s", code, stdout, stderr)
	}
	// Without the broker's memory of ids, as after its window, the sink is the
	// one to notice.
	_, js := s.connect()
	for _, name := range []string{schemas.StreamRaw, schemas.StreamClean} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		// Twice, since nats-server 2.15 may set its timer by the window before: it
		// lets the timer fire before it has taken the new window over.
		for _, window := range []time.Duration{200 * time.Millisecond, 100 * time.Millisecond} {
			cfg.Duplicates = window
			if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.until("the broker has forgotten the ids", func() error {
		stdout, _, _ := s.run(strings.NewReader(ndjson), "producer", "publish")
		if !strings.HasSuffix(stdout, "published 2000, duplicate 0, refused 0\n") {
			return fmt.Errorf("got %q", stdout)
		}
		return nil
	})
	s.until("the sink has seen them all again", func() error {
		info, err := js.Consumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink)
		if err != nil {
			return err
		}
		if i := info.CachedInfo(); i.NumPending != 0 || i.NumAckPending != 0 || i.AckFloor.Stream < 4000 {
			return fmt.Errorf("pending %d, in work %d, floor %d", i.NumPending, i.NumAckPending, i.AckFloor.Stream)
		}
		return nil
	})
	s.untilRows(2000)
}
