package notifier

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

// childEnv makes the test binary a notifier: its value is the broker's address,
// how long a trouble must be quiet to be over, and at which point for the how
// manieth time it kills itself.
const childEnv = "NOTIFIER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain())
	}
	os.Exit(m.Run())
}

func childMain() int {
	var (
		url, point string
		resolve    time.Duration
		times      int
	)
	if _, err := fmt.Sscan(os.Getenv(childEnv), &url, (*durationText)(&resolve), &point, &times); err != nil {
		panic(err)
	}
	crashpoint = func(name string) {
		if name != point {
			return
		}
		if times--; times == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it is not ours any more to go on
		}
	}
	cfg := Config{
		NATS: broker.NATS{URL: url, ConnectWait: 10 * time.Second}, GroupInterval: time.Second, ResolveAfter: resolve, StormLimit: 10,
	}
	cfg.Telemetry = daemon.NewTelemetry()
	return daemon.ExitCode(os.Stderr, "child", Run(context.Background(), cfg, slog.New(slog.DiscardHandler)))
}

// durationText is a duration for Sscan.
type durationText time.Duration

// Scan implements fmt.Scanner.
func (d *durationText) Scan(state fmt.ScanState, _ rune) error {
	token, err := state.Token(true, nil)
	if err != nil {
		return err
	}
	parsed, err := time.ParseDuration(string(token))
	*d = durationText(parsed)
	return err
}

// startChild starts a notifier in a process of its own.
func (w *world) startChild(resolve time.Duration, point string, times int) *exec.Cmd {
	w.t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d", childEnv, w.url, resolve, point, times))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = child.Process.Kill(); _, _ = child.Process.Wait() })
	return child
}

// killedBy waits for a child and tells whether its own SIGKILL ended it. One that
// never comes to its crash point is ended after a while.
func killedBy(child *exec.Cmd) bool {
	late := time.AfterFunc(time.Minute, func() { _ = child.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	_ = child.Wait()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// crashpoints are the moments at which a notifier may die, in order.
var crashpoints = []string{"taken", "measured", "stored", "published", "removed", "settled", "acknowledged"}

// underLoad are those that a notifier comes by while events flow.
var underLoad = []string{"taken", "measured", "stored", "published", "settled", "acknowledged"}

// TestEveryCrashpointIsTested compares the list with the code.
func TestEveryCrashpointIsTested(t *testing.T) {
	text := ""
	for _, file := range []string{"desk.go", "flush.go", "publish.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(source)
	}
	if got := strings.Count(text, "\tcrashpoint(\""); got != len(crashpoints) {
		t.Errorf("%d crash points in the code, %d are tested", got, len(crashpoints))
	}
	for _, point := range crashpoints {
		if !strings.Contains(text, "\tcrashpoint(\""+point+"\")") {
			t.Errorf("no crash point %s in the code", point)
		}
	}
}

// published are the alerts that went over the wire, those included that ALERTS
// has dropped as repetitions.
type published struct {
	mu     sync.Mutex
	times  map[string]int  // by id
	firing map[string]bool // by message
}

func (w *world) listen() *published {
	w.t.Helper()
	p := &published{times: map[string]int{}, firing: map[string]bool{}}
	if _, err := w.conn.NC.Subscribe(schemas.AlertsPrefix+".>", func(msg *nats.Msg) {
		var a schemas.Alert
		if json.Unmarshal(msg.Data, &a) != nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.times[a.ID]++
		if a.Type == schemas.AlertFiring {
			p.firing[a.Data.App+" "+a.Data.Message] = true
		}
	}); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (p *published) repeats() (alerts, repeats int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.times {
		alerts++
		repeats += times - 1
	}
	return alerts, repeats
}

func (p *published) missing(want []string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range want {
		if !p.firing[text] {
			out = append(out, text)
		}
	}
	return out
}

// load publishes troubles, a new one in a few and never too many in one app, until
// it is stopped; it returns what must have fired.
func (w *world) load(stop <-chan struct{}, round int) []string {
	var fired []string
	for n := 0; ; n++ {
		select {
		case <-stop:
			return fired
		case <-time.After(2 * time.Millisecond):
		}
		app, text := fmt.Sprintf("app-%d-%d", round, n/40), distinct(n/5)
		if n%5 == 0 {
			fired = append(fired, app+" "+text)
		}
		for range 1 + rand.IntN(3) {
			w.queue(schemas.ActionSystemException, messageEvent(app, text))
		}
		w.flush()
	}
}

// killsOf is how often a test kills: every seventh kill is for TestKilledWhileRemoving,
// the others for TestKilledAtEachPoint. SLUICE_KILLS=50 makes it 7 and 43.
func killsOf(removing bool) int {
	kills := 14
	if n, err := strconv.Atoi(os.Getenv("SLUICE_KILLS")); err == nil {
		kills = n
	}
	if removing {
		return kills / 7
	}
	return kills - kills/7
}

// TestKilledAtEachPoint kills one of two notifiers under load, at each of the
// points in turn. No trouble goes untold, and for each kill at most
// one alert is sent once more, under its id.
func TestKilledAtEachPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	w := newWorld(t)
	heard := w.listen()
	kills := killsOf(false)
	stop, done := make(chan struct{}), make(chan []string)
	go func() { done <- w.load(stop, 0) }()
	other := w.startChild(time.Hour, "never", 1)
	perPoint := map[string]int{}
	for kill := range kills {
		point := underLoad[kill%len(underLoad)]
		_, before := heard.repeats()
		child := w.startChild(time.Hour, point, 1+rand.IntN(5))
		if !killedBy(child) {
			t.Fatalf("the notifier did not die at %s", point)
		}
		_, after := heard.repeats()
		perPoint[point] += after - before
		if after > kill+1 {
			t.Errorf("%d repeats after %d kills", after, kill+1)
		}
	}
	close(stop)
	want := <-done
	w.startChild(time.Hour, "never", 1)
	w.redeliverSoonAfter(2)
	w.wantAcknowledged()
	w.eventually("every trouble told", func() bool { return len(heard.missing(want)) == 0 }, func() any { return heard.missing(want) })
	w.wantNothingPending()
	alerts, repeats := heard.repeats()
	t.Logf("%d kills, %d troubles, %d alerts, %d repeats %v", kills, len(want), alerts, repeats, perPoint)
	if repeats > kills {
		t.Errorf("%d repeats for %d kills", repeats, kills)
	}
	seen := map[string]bool{}
	for _, a := range w.alerts() {
		if seen[a.ID] {
			t.Errorf("alert %s stands on the stream twice", a.ID)
		}
		seen[a.ID] = true
	}

	// And none in normal running, with two of them.
	calm := w.listen()
	stop = make(chan struct{})
	go func() { done <- w.load(stop, 1) }()
	time.Sleep(5 * time.Second) // the length of the load, no wait for anything
	close(stop)
	want = <-done
	w.wantAcknowledged()
	w.eventually("every trouble told", func() bool { return len(calm.missing(want)) == 0 }, func() any { return calm.missing(want) })
	w.wantNothingPending()
	alerts, repeats = calm.repeats()
	t.Logf("in normal running: %d troubles, %d alerts, %d repeats", len(want), alerts, repeats)
	if repeats > 0 {
		t.Errorf("%d repeats in normal running", repeats)
	}
	_ = other
}

// wantNothingPending waits until everything counted is told.
func (w *world) wantNothingPending() {
	w.t.Helper()
	left := func() (out []string) {
		for _, g := range w.groups() {
			if len(g.Pending) > 0 || g.Count > g.Reported {
				out = append(out, g.App+" "+g.Message)
			}
		}
		return out
	}
	w.eventually("everything told", func() bool { return len(left()) == 0 }, func() any { return left() })
}

// TestKilledWhileRemoving kills a notifier right after it has removed a group that
// is over: nobody tells the end twice, and what comes later fires.
func TestKilledWhileRemoving(t *testing.T) {
	w := newWorld(t)
	heard := w.listen()
	kills := killsOf(true)
	for kill := range kills {
		w.startChild(time.Hour, "never", 1)
		// An app each, for ten new troubles a minute in one are a storm.
		w.events(3, "system_exception", messageEvent(fmt.Sprintf("app-%d", kill), distinct(kill)))
		w.eventually("the alert", func() bool { return len(w.groups()) > 0 }, func() any { return brief(w.alerts()) })
		w.wantAcknowledged()
		w.wantNothingPending()
		if child := w.startChild(time.Second, "removed", 1); !killedBy(child) {
			t.Fatal("the notifier did not die")
		}
	}
	w.start(time.Second, time.Second, nil)
	w.eventually("no group", func() bool { return len(w.groups()) == 0 }, func() any { return w.groups() })
	alerts, repeats := heard.repeats()
	t.Logf("%d kills, %d alerts, %d repeats", kills, alerts, repeats)
	kinds := map[string]int{}
	for _, a := range w.alerts() {
		kinds[a.Type]++
	}
	if repeats > kills || kinds[firing] != kills || kinds[resolved] != kills {
		t.Errorf("%d repeats, %v", repeats, kinds)
	}
}

// redeliverSoonAfter waits until that many notifiers are there, and then makes what
// is unacknowledged come again within a second.
func (w *world) redeliverSoonAfter(notifiers int) {
	w.t.Helper()
	w.eventually("the notifiers", func() bool {
		inbox := nats.NewInbox()
		sub, err := w.conn.NC.SubscribeSync(inbox)
		if err != nil {
			w.t.Fatal(err)
		}
		defer sub.Unsubscribe() //nolint:errcheck // it is over
		if err := w.conn.NC.PublishRequest("$SRV.PING.notifier", inbox, nil); err != nil {
			w.t.Fatal(err)
		}
		for n := 0; ; n++ {
			if _, err := sub.NextMsg(300 * time.Millisecond); err != nil {
				return n >= notifiers
			}
		}
	}, func() any { return "fewer" })
	w.redeliverSoon()
}
