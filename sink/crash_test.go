package sink

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/internal/daemon"
)

// childEnv makes the test binary a sink: its value is the broker's address,
// ClickHouse's, and at which point of which batch it kills itself.
const childEnv = "SINK_TEST_CHILD"

func childMain() int {
	var natsURL, clickHouseURL, point string
	var batch int
	if _, err := fmt.Sscan(os.Getenv(childEnv), &natsURL, &clickHouseURL, &point, &batch); err != nil {
		panic(err)
	}
	crashpoint = func(name string) {
		if name != point {
			return
		}
		if batch--; batch == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it is not ours any more to go on
		}
	}
	cfg := testConfig(natsURL, clickHouseURL)
	cfg.BatchRows, cfg.BatchAge = 100, 10*time.Millisecond
	return daemon.ExitCode(os.Stderr, "child", Run(context.Background(), cfg, slog.New(slog.DiscardHandler)))
}

// startChild starts a sink in a process of its own.
func startChild(t *testing.T, mq *server.Server, ch *engine, point string, batch int) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d", childEnv, mq.ClientURL(), ch.url, point, batch))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _, _ = child.Process.Wait() })
	return child
}

// killedBy waits for a child and tells whether a SIGKILL ended it.
func killedBy(child *exec.Cmd) bool {
	_ = child.Wait()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// crashpoints are all moments at which the sink may die, in order: what
// docs/exactly-once.md argues about.
var crashpoints = []string{"fetched", "looked_up", "planned", "inserted", "settled", "acknowledged"}

// The sink dies at each point in turn, and the next one goes on at once: nothing
// is lost, nothing stored twice, nothing has to be waited for.
func TestSinkDiesAtEachPoint(t *testing.T) {
	for _, point := range crashpoints {
		t.Run(point, func(t *testing.T) {
			ch, mq := cleanEngine(t), startBroker(t)
			conn := connect(t, mq)
			publishEvents(t, conn, 1000)
			for batch := range 3 {
				child := startChild(t, mq, ch, point, batch+1)
				if !killedBy(child) {
					t.Fatalf("the sink did not die at %s", point)
				}
			}
			publishEvents(t, conn, 100)
			startSink(t, testConfig(mq.ClientURL(), ch.url))
			eventuallyQuery(t, ch, countRows, rows(1100))
			acknowledged(t, conn)
			if got := ch.query(t, countRows); got != rows(1100) {
				t.Errorf("got %q, want %q", got, rows(1100))
			}
		})
	}
}

// The crash points in the code are those of the list.
func TestEveryCrashpointIsTested(t *testing.T) {
	source, err := os.ReadFile("loop.go")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(source), "\tcrashpoint(\""); got != len(crashpoints) {
		t.Errorf("%d crash points in loop.go, %d are tested", got, len(crashpoints))
	}
	for _, point := range crashpoints {
		if !strings.Contains(string(source), "\tcrashpoint(\""+point+"\")") {
			t.Errorf("no crash point %s in loop.go", point)
		}
	}
}

// The sink is killed at moments that nobody chose, with another one waiting.
func TestSinkKilled(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	const kills, each = 8, 1200
	total := 0
	waiting := startChild(t, mq, ch, "never", 1)
	for range kills {
		storing := waiting
		waiting = startChild(t, mq, ch, "never", 1)
		publishEvents(t, conn, each)
		eventually(t, "rows of this child", func() bool {
			out, err := ch.try(fmt.Sprintf("SELECT count() > %d FROM sluice.events", total))
			return err == nil && out == "1"
		})
		_ = storing.Process.Signal(syscall.SIGKILL)
		_ = storing.Wait()
		total += each
	}
	eventuallyQuery(t, ch, countRows, rows(total))
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(total) {
		t.Errorf("got %q, want %q", got, rows(total))
	}
}
