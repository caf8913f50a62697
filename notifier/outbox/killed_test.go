package outbox

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
)

// Killed under load at moments of the peer's choice: nothing lost, at most one
// repetition a kill.
func TestKilled(t *testing.T) {
	if os.Getenv(childBroker) != "" {
		deliverAsChild(t)
		return
	}
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	kills := killsOf(7)
	w, p := newWorld(t), newPeer(t)
	published := make([]string, 0, 2*kills*5)
	for range cap(published) {
		published = append(published, w.alert("a"))
	}
	repeated := 0
	for kill := range kills {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), childBroker+"="+w.url, childPeer+"="+p.URL)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		goal := p.tried() + 1 + kill%7
		eventually(t, "some are delivered", func() bool { return p.tried() >= goal || len(p.has()) >= len(published) })
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed
		// What the peer has at this moment is from this child and those before.
		if n := p.repeats(); n > repeated+1 {
			t.Errorf("kill %d: %d repeated since the last", kill, n-repeated)
		}
		repeated = p.repeats()
	}
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	eventually(t, "everything acknowledged", func() bool { return w.waiting("a") == 0 })
	out.drained(t)
	got := p.has()
	if repeated = p.repeats(); repeated > kills {
		t.Errorf("%d repeated in %d kills", repeated, kills)
	}
	if !slices.Equal(slices.Compact(got), published) {
		t.Error("lost, or out of order")
	}
	t.Logf("%d alerts, %d kills, %d repeated, none lost", len(published), kills, repeated)
}

const (
	childBroker = "OUTBOX_TEST_BROKER"
	childPeer   = "OUTBOX_TEST_PEER"
	// childPoint is the crash point at which the child kills itself.
	childPoint = "OUTBOX_TEST_POINT"
)

func deliverAsChild(t *testing.T) {
	t.Helper()
	conn, err := broker.Connect(t.Context(), broker.NATS{URL: os.Getenv(childBroker), ConnectWait: 5 * time.Second}, "test", silent)
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(conn, receiver.Env{}, prometheus.NewRegistry(), silent)
	if err != nil {
		t.Fatal(err)
	}
	o.ackWait = 300 * time.Millisecond
	dieAt(os.Getenv(childPoint))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // should the parent die
	defer cancel()
	if err := o.Run(ctx, parse(t, map[string]string{"a": hook(os.Getenv(childPeer))})); err != nil {
		t.Fatal(err)
	}
}
