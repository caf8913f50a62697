package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sluice/schemas"
)

// TestClickHouseOutage kills ClickHouse while 1,000 events a second go on arriving, and
// starts it again later: the sink must catch up while they go on, store each once, and
// keep to its SINK_MEMORY_BYTES.
func TestClickHouseOutage(t *testing.T) {
	away := outage(t)
	const memory = 320 << 20 // near the least that the sink accepts
	s := startStage(t)
	metrics := freeAddr(t)
	sink := start(t, nil, append(s.env,
		"CLICKHOUSE_URL=http://"+s.addr, "HTTP_ADDR="+metrics, "SINK_MEMORY_BYTES="+strconv.Itoa(memory),
	), "sink")
	until(t, "the stream is there", func() error {
		_, err := s.js.Stream(t.Context(), schemas.StreamClean)
		return err
	})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		s.publishSteadily(stop)
	}()
	until(t, "rows", func() error { return s.rowsAtLeast(1) })

	s.clickHouse.signal(t, syscall.SIGKILL)
	_ = s.stdin.Close()
	<-s.clickHouse.done
	<-time.After(away)
	behind, err := s.lag()
	if err != nil || behind == 0 {
		t.Fatalf("events waiting: %d (%v), want some", behind, err)
	}
	s.startClickHouse()
	began := time.Now()
	until(t, "the sink has caught up while events go on arriving", func() error {
		lag, err := s.lag()
		if err == nil && lag >= eventsPerSecond {
			err = fmt.Errorf("%d events behind", lag)
		}
		return err
	})
	t.Logf("%d events behind after %v, caught up with in %v", behind, away, time.Since(began).Round(time.Millisecond))
	close(stop)
	<-stopped
	s.allStoredOnce()

	held, resident := s.memory(metrics, sink)
	t.Logf("the sink holds %d MiB, at most %d MiB were resident", held>>20, resident>>20)
	if held > memory {
		t.Errorf("the sink holds %d bytes, want at most %d", held, memory)
	}
	if race := filepath.Base(os.Getenv("SLUICE_BIN")) == "race"; !race && resident > memory { // the race detector keeps books of its own
		t.Errorf("%d bytes were resident, want at most %d", resident, memory)
	}
}

const eventsPerSecond = 1000

// publishSteadily publishes a thousand events a second.
func (s *stage) publishSteadily(stop <-chan struct{}) {
	const lots = 10
	tick := time.NewTicker(time.Second / lots)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.publish(eventsPerSecond / lots)
		}
	}
}

// lag is how many events the sink has not acknowledged.
func (s *stage) lag() (uint64, error) {
	consumer, err := s.js.Consumer(s.t.Context(), schemas.StreamClean, schemas.ConsumerSink)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	return info.NumPending + uint64(info.NumAckPending), nil
}

func (s *stage) rowsAtLeast(n int) error {
	out, err := s.ask(fmt.Sprintf("SELECT count() >= %d FROM sluice.events", n))
	if err == nil && out != "1" {
		err = fmt.Errorf("fewer than %d rows", n)
	}
	return err
}

var (
	goHolds  = regexp.MustCompile(`(?m)^go_memstats_sys_bytes (\S+)$`)
	goGave   = regexp.MustCompile(`(?m)^go_memstats_heap_released_bytes (\S+)$`)
	peakSize = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
)

// memory is what the process's runtime holds now, and the most that was resident.
func (s *stage) memory(metrics string, p *process) (held, resident int64) {
	s.t.Helper()
	resp, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		s.t.Skip("needs Linux: ", err)
	}
	return s.figure(goHolds, page) - s.figure(goGave, page), s.figure(peakSize, status) << 10
}

func (s *stage) figure(pattern *regexp.Regexp, page []byte) int64 {
	s.t.Helper()
	found := pattern.FindSubmatch(page)
	if found == nil {
		s.t.Fatalf("nothing like %s", pattern)
	}
	n, err := strconv.ParseFloat(string(bytes.TrimSpace(found[1])), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int64(n)
}
