package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rollingRate is how many events a second come through the door.
const rollingRate = 2000

// TestRollingRestart restarts every service and every node of the broker in turn,
// while events come through the door, for ten seconds. With two instances of each a
// new one is ready before an old one ends, as Kubernetes does it. SLUICE_ROLLING=5m
// does it for that long, and with one instance too, which is stopped and started.
func TestRollingRestart(t *testing.T) { //nolint:tparallel // one after the other: each wants the machine for itself
	t.Parallel()
	lasting, counts := 10*time.Second, []int{2}
	if d, err := time.ParseDuration(os.Getenv("SLUICE_ROLLING")); err == nil {
		lasting, counts = d, []int{1, 2}
	}
	for _, instances := range counts {
		t.Run(fmt.Sprintf("instances=%d", instances), func(t *testing.T) {
			r := startRolling(t, instances)
			stop := r.watch()
			rounds := 0
			for end := time.Now().Add(lasting); time.Now().Before(end); rounds++ {
				r.step(rounds)
			}
			stop()
			end := time.Now()
			close(r.halt)
			<-r.done
			r.allThere()
			rows, rowsNodes := r.split(r.without)
			alerts, alertsNodes := r.split(r.withoutAlert(end))
			t.Logf("%d events, %d restarts, %d requests sent again; the longest time without a new row %s, without an alert %s; while nodes of the broker were restarted %s and %s",
				r.made.Load(), rounds, r.again, longest(rows), longest(alerts), longest(rowsNodes), longest(alertsNodes))
		})
	}
}

// rolling is a flow through doors, whose parts are restarted.
type rolling struct {
	*flow
	instances int
	tokens    string
	doors     []string // where the doors are, those that are down too
	health    map[string]string
	addrs     map[string]string // of the doors by instance
	again     int
	nodes     []stretch // in which nodes of the broker were restarted
}

const rollingToken = "rolling-rolling-rolling-rolling-rolling"

func startRolling(t *testing.T, instances int) *rolling {
	t.Helper()
	c := startCluster(t)
	f := &flow{
		stage: &stage{t: t, js: c.js, dir: t.TempDir(), addr: freeAddr(t)}, cluster: c,
		services: map[string]*process{}, halt: make(chan struct{}), done: make(chan struct{}),
	}
	f.startClickHouse()
	r := &rolling{
		flow: f, instances: instances, tokens: filepath.Join(t.TempDir(), "tokens"),
		health: map[string]string{}, addrs: map[string]string{},
	}
	if err := os.WriteFile(r.tokens, []byte("e2e default * "+rollingToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range rolled {
		for i := range instances {
			r.up(fmt.Sprint(name, "-", i))
		}
	}
	for _, addr := range r.addrs {
		r.doors = append(r.doors, addr)
	}
	c.untilReplicated()
	go func() {
		defer close(r.done)
		r.pace(rollingRate, r.post)
	}()
	until(t, "rows come", func() error { return r.rowsAtLeast(rollingRate) })
	return r
}

// rolled is what is restarted, in this order; the nodes of the broker last.
var rolled = []string{"redactor", "sink", "notifier", "producer"}

// up starts an instance and waits until it is ready.
func (r *rolling) up(instance string) {
	r.t.Helper()
	name, _, _ := strings.Cut(instance, "-")
	if r.addrs[instance] == "" && name == "producer" {
		r.addrs[instance] = keptAddr(r.t)
	}
	if r.health[instance] == "" {
		r.health[instance] = keptAddr(r.t)
	}
	r.startService(instance, name, "HTTP_ADDR="+r.health[instance], "PRODUCER_TOKENS_FILE="+r.tokens,
		"PRODUCER_SERVE_ADDR="+r.addrs[instance], "PRODUCER_RATE=0")
	p := r.services[instance]
	until(r.t, instance+" is ready", func() error {
		select {
		case <-p.done:
			r.t.Fatalf("%s ended: %v\n%s", instance, p.err, tail(p.stderr.String()))
		default:
		}
		return r.get("http://" + r.health[instance] + "/readyz")
	})
}

func (r *rolling) get(url string) error {
	_, err := (&system{}).body(url)
	return err
}

func (r *rolling) down(p *process, what string) {
	r.t.Helper()
	p.signal(r.t, syscall.SIGTERM)
	if code := p.wait(r.t); code != 0 {
		r.t.Errorf("%s ended with %d\n%s", what, code, tail(p.stderr.String()))
	}
}

// step restarts the next part.
func (r *rolling) step(n int) {
	r.t.Helper()
	services := len(rolled) * r.instances
	k := n % (services + len(r.cluster.nodes))
	if k >= services {
		r.roll(r.cluster.nodes[k-services])
		return
	}
	instance := fmt.Sprint(rolled[k/r.instances], "-", k%r.instances)
	began, old := time.Now(), r.services[instance]
	if r.instances > 1 && !strings.HasPrefix(instance, "producer") { // a door comes back where clients know it
		r.health[instance] = keptAddr(r.t)
		r.up(instance)
		r.down(old, instance)
	} else {
		r.down(old, instance)
		r.up(instance)
	}
	r.t.Logf("%s: %s restarted, in %s", began.Format("15:04:05"), instance, time.Since(began).Round(time.Millisecond))
}

// roll restarts a node of the broker as node.conf says: it hands its leaders over,
// then lets its clients go.
func (r *rolling) roll(n *node) {
	r.t.Helper()
	began := time.Now()
	n.signal(r.t, syscall.SIGUSR2)
	<-n.done
	r.cluster.startNode(n)
	r.cluster.untilReplicated()
	r.nodes = append(r.nodes, stretch{began, time.Now()})
	r.t.Logf("%s: %s restarted, in %s", began.Format("15:04:05"), n.name, time.Since(began).Round(time.Millisecond))
}

// split tells what was when nodes of the broker were restarted from what was when
// services were alone.
func (r *rolling) split(all []stretch) (services, nodes []stretch) {
	for _, s := range all {
		if slices.ContainsFunc(r.nodes, func(n stretch) bool { return n.from.Before(s.to) && s.from.Before(n.to) }) {
			nodes = append(nodes, s)
		} else {
			services = append(services, s)
		}
	}
	return services, nodes
}

// post sends the events through one door after the other until one has taken them.
func (r *rolling) post(events []byte) {
	if len(events) == 0 {
		return
	}
	for i := 0; ; i++ {
		err := r.try(r.doors[i%len(r.doors)], events)
		if err == nil {
			return
		}
		select {
		case <-r.t.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		if r.again++; i%100 == 99 {
			r.t.Logf("%s: no door takes the events: %v", time.Now().Format("15:04:05"), err)
		}
	}
}

func (r *rolling) try(door string, events []byte) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+door+"/v1/events", bytes.NewReader(events))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+rollingToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the door answers %s", resp.Status)
	}
	return nil
}
