package e2e_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sluice/schemas"
)

// TestClusterLosesLeaders kills the node that leads a stream, or the cluster, while
// events pass through, twice; SLUICE_KILLS=10 kills ten.
func TestClusterLosesLeaders(t *testing.T) {
	t.Parallel()
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("SLUICE_KILLS")); err == nil {
		kills = n
	}
	f := startFlow(t, startCluster(t))
	load := f.publish(500)
	stop := f.watch()
	until(t, "rows come", func() error { return f.rowsAtLeast(500) })
	moments := rand.New(rand.NewPCG(1, 8))
	// The cluster's own leader leads no stream as a rule, so that each has its turn.
	leads := []string{schemas.StreamRaw, schemas.StreamClean, "", "KV_SINK", "KV_ALERT_GROUPS", schemas.StreamAlerts}
	for kill := range kills {
		victim := f.cluster.leader(leads[kill%len(leads)])
		time.Sleep(time.Duration(moments.IntN(300)) * time.Millisecond) // a moment that nobody chose
		t.Logf("kill %d: %s, which leads %q; %d events so far", kill+1, victim.name, leads[kill%len(leads)], f.made.Load())
		f.cluster.kill(victim, time.Duration(moments.IntN(4000))*time.Millisecond)
		f.cluster.untilReplicated()
	}
	stop()
	end := time.Now()
	f.ended(load)
	f.allThere()
	t.Logf("%d events, %d kills; the longest time without a new row %s, without an alert %s",
		f.made.Load(), kills, longest(f.without), longest(f.withoutAlert(end)))
	for name, p := range f.services {
		p.signal(t, syscall.SIGTERM)
		if code := p.wait(t); code != 0 {
			t.Errorf("%s ended with %d", name, code)
		}
	}
}
