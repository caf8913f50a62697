package outbox

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killsOf is how often a test kills: SLUICE_KILLS, or so many.
func killsOf(normally int) int {
	if n, err := strconv.Atoi(os.Getenv("SLUICE_KILLS")); err == nil {
		return n
	}
	return normally
}

// dieAt has this process kill itself at the crash point.
func dieAt(point string) {
	crashpoint = func(name string) {
		if name == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it is not ours any more to go on
		}
	}
}

// untilKilledAt runs an outbox in a process of its own until that kills itself at
// the crash point.
func (w *world) untilKilledAt(p *peer, point string) {
	w.t.Helper()
	child := exec.CommandContext(w.t.Context(), os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), childBroker+"="+w.url, childPeer+"="+p.URL, childPoint+"="+point)
	if err := child.Run(); err == nil {
		w.t.Fatalf("it ended before it came to %s", point)
	}
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		w.t.Fatalf("it was not killed at %s: %v", point, child.ProcessState)
	}
}

// TestKilledAtEachPoint kills the outbox at each point of its way with an alert,
// three times each or SLUICE_KILLS. No alert is lost; each kill repeats at most one.
func TestKilledAtEachPoint(t *testing.T) {
	gone := func(string, http.ResponseWriter) int { return http.StatusGone }
	refused := func(string, http.ResponseWriter) int { return http.StatusBadRequest }
	for _, test := range []struct {
		point  string
		answer func(string, http.ResponseWriter) int // what the peer says until the last kill
		replay bool                                  // the alerts are replayed ones
	}{
		{"taken", nil, false},
		{"sent", nil, false},
		{"acknowledged", nil, false},
		{"kept", refused, false},
		{"disabled", gone, false},
		{"taken", nil, true},
		{"sent", nil, true},
		{"acknowledged", nil, true},
		{"kept", refused, true},
		{"forgotten", nil, true},
	} {
		name := test.point
		if test.replay {
			name += " of a replay"
		}
		t.Run(name, func(t *testing.T) {
			kills := killsOf(3)
			w, p := newWorld(t), newPeer(t)
			var published []string
			for range kills + 2 {
				published = append(published, w.alert("a"))
			}
			if test.replay {
				w.refuseAll(p, len(published))
				w.replayAll(len(published))
			}
			p.answers(test.answer)
			repeated := 0
			for kill := range kills {
				w.untilKilledAt(p, test.point)
				if n := p.repeats(); n > repeated+1 {
					t.Errorf("kill %d repeated %d", kill, n-repeated)
				}
				repeated = p.repeats()
			}
			p.answers(nil)
			out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
			store := w.store()
			eventually(t, "nothing waits", func() bool { return w.waiting("a") == 0 && w.replaying("a") == 0 })
			if _, _, err := store.Replay(t.Context(), "a"); err != nil { // what was kept meanwhile
				t.Fatal(err)
			}
			eventually(t, "every alert has come", func() bool { return len(p.missing(published)) == 0 })
			eventually(t, "nothing is left", func() bool { return w.replaying("a") == 0 })
			out.drained(t)
			if n := p.repeats(); n > kills {
				t.Errorf("%d repeated in %d kills", n, kills)
			}
			if list, err := store.Receivers(t.Context()); err != nil || len(list) != 1 || list[0].Kept != 0 || list[0].Disabled != "" {
				t.Errorf("afterwards: %+v (%v)", list, err)
			}
		})
	}
}

// TestEveryCrashpointIsTested compares the test with the code.
func TestEveryCrashpointIsTested(t *testing.T) {
	var code string
	for _, file := range []string{"worker.go", "deliver.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code += string(text)
	}
	for _, point := range []string{"taken", "sent", "acknowledged", "kept", "disabled", "forgotten"} {
		if !strings.Contains(code, "\tcrashpoint(\""+point+"\")") {
			t.Errorf("no crash point %s in the code", point)
		}
	}
	if n := strings.Count(code, "\tcrashpoint(\""); n != 6 {
		t.Errorf("%d crash points in the code, 6 are tested", n)
	}
}

// refuseAll has the receiver refuse all alerts, so that they are kept.
func (w *world) refuseAll(p *peer, n int) {
	w.t.Helper()
	p.answers(always(http.StatusBadRequest))
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	eventually(w.t, "all are kept", func() bool {
		store, err := openStore(w.t.Context(), w.conn)
		if err != nil {
			return false
		}
		list, err := store.Receivers(w.t.Context())
		return err == nil && len(list) == 1 && list[0].Kept == uint64(n)
	})
	out.drained(w.t)
}

func (w *world) replayAll(n int) {
	w.t.Helper()
	if got, _, err := w.store().Replay(w.t.Context(), "a"); got != n || err != nil {
		w.t.Fatalf("replayed %d of %d: %v", got, n, err)
	}
}

func (w *world) store() *Store {
	w.t.Helper()
	store, err := openStore(w.t.Context(), w.conn)
	if err != nil {
		w.t.Fatal(err)
	}
	return store
}

// missing are the alerts that the peer has not taken.
func (p *peer) missing(want []string) []string {
	has := p.has()
	return slices.DeleteFunc(slices.Clone(want), func(id string) bool { return slices.Contains(has, id) })
}
