package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/schemas"
)

// network is three namespaces, each with an address of its own on a bridge, where
// the services are too.
type network struct {
	t      *testing.T
	id     string
	subnet string
}

// startNetwork needs root, for the namespaces.
func startNetwork(t *testing.T) *network {
	t.Helper()
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("cuts no network: %s is missing (install iproute2 and iptables)", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("cuts no network: namespaces need root")
	}
	number := rand.IntN(250)
	// Addresses that no real network has: RFC 2544 keeps them for tests.
	n := &network{t: t, id: fmt.Sprintf("sl%d-%d", os.Getpid()%10000, number), subnet: fmt.Sprintf("198.19.%d.", number)}
	t.Cleanup(n.remove)
	if err := n.ip("link", "add", n.id, "type", "bridge"); err != nil {
		t.Skipf("cuts no network: no bridge can be made: %v", err)
	}
	n.must("addr", "add", n.subnet+"254/24", "dev", n.id)
	n.must("link", "set", n.id, "up")
	for i := range 3 {
		n.must("netns", "add", n.space(i))
		n.must("link", "add", n.link(i), "type", "veth", "peer", "name", "eth0", "netns", n.space(i))
		n.must("link", "set", n.link(i), "master", n.id, "up")
		n.must("-n", n.space(i), "addr", "add", n.host(i)+"/24", "dev", "eth0")
		n.must("-n", n.space(i), "link", "set", "lo", "up")
		n.must("-n", n.space(i), "link", "set", "eth0", "up")
	}
	return n
}

func (n *network) space(i int) string { return fmt.Sprint(n.id, "-", i) }
func (n *network) link(i int) string  { return fmt.Sprint(n.id, "-", i) }
func (n *network) host(i int) string  { return n.subnet + strconv.Itoa(i+1) }

func (n *network) ip(args ...string) error { return n.run("ip", args...) }

func (n *network) run(name string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, said.String())
	}
	return nil
}

func (n *network) must(args ...string) {
	n.t.Helper()
	if err := n.ip(args...); err != nil {
		n.t.Fatal(err)
	}
}

// remove takes down whatever was made; with a namespace its end of the link goes.
func (n *network) remove() {
	for i := range 3 {
		_ = n.ip("link", "del", n.link(i))
		_ = n.ip("netns", "del", n.space(i))
	}
	_ = n.ip("link", "del", n.id)
}

// rule adds or removes a rule by which a node does not hear from some address.
func (n *network) rule(i int, change, from string) {
	n.t.Helper()
	if err := n.run("ip", "netns", "exec", n.space(i), "iptables", "-w", change, "INPUT", "-s", from, "-j", "DROP"); err != nil {
		n.t.Fatal(err)
	}
}

// cuts are the ways in which a node is cut off and healed. Where the node keeps its
// clients, they are cut off with it, and nothing need go on meanwhile.
var cuts = []struct {
	name         string
	cut, heal    func(n *network, i int)
	leads        bool
	keepsClients bool
}{
	{
		"the leader, from everybody",
		func(n *network, i int) { n.must("link", "set", n.link(i), "down") },
		func(n *network, i int) { n.must("link", "set", n.link(i), "up") },
		true, false,
	},
	{
		"a follower, from everybody",
		func(n *network, i int) { n.must("link", "set", n.link(i), "down") },
		func(n *network, i int) { n.must("link", "set", n.link(i), "up") },
		false, false,
	},
	{
		"the leader, which speaks and does not hear",
		func(n *network, i int) { n.rule(i, "-A", n.subnet+"0/24") },
		func(n *network, i int) { n.rule(i, "-D", n.subnet+"0/24") },
		true, false,
	},
	{
		"the leader, from the other nodes alone",
		func(n *network, i int) {
			for k := range 3 {
				if k != i {
					n.rule(i, "-A", n.host(k))
					n.rule(k, "-A", n.host(i))
				}
			}
		},
		func(n *network, i int) {
			for k := range 3 {
				if k != i {
					n.rule(i, "-D", n.host(k))
					n.rule(k, "-D", n.host(i))
				}
			}
		},
		true, true,
	},
}

// TestNodeCutOff cuts a node off the network while events pass through: once, in the
// first of the ways above; SLUICE_CUTS=8 does so eight times, in all of them.
func TestNodeCutOff(t *testing.T) {
	t.Parallel()
	times := 1
	if n, err := strconv.Atoi(os.Getenv("SLUICE_CUTS")); err == nil {
		times = n
	}
	net := startNetwork(t)
	c := &cluster{t: t}
	var routes []string
	for i := range 3 {
		routes = append(routes, net.host(i)+":6222")
	}
	for i := range 3 {
		n := &node{
			name: fmt.Sprint("nats-", i), client: net.host(i) + ":4222", monitor: net.host(i) + ":8222",
			wrap: []string{"ip", "netns", "exec", net.space(i)}, network: http.DefaultClient,
		}
		n.env = nodeEnv(n, routes[i], routes, t.TempDir())
		c.nodes = append(c.nodes, n)
	}
	c.start()
	f := startFlow(t, c)
	load := f.publish(500)
	until(t, "rows come", func() error { return f.rowsAtLeast(500) })
	for i := range times {
		way := cuts[i%len(cuts)]
		victim := c.index(c.leader([]string{schemas.StreamClean, schemas.StreamRaw}[i/len(cuts)%2]))
		if !way.leads {
			victim = (victim + 1) % 3
		}
		before, began := f.rows(), time.Now()
		way.cut(net, victim)
		if way.keepsClients {
			time.Sleep(20 * time.Second) // twice as long as it takes a leader to give up
		} else {
			until(t, "events go on", func() error { return f.rowsAtLeast(before + 5000) })
		}
		t.Logf("cut off %s, %s: %d rows in %s", way.name, c.nodes[victim].name, f.rows()-before, time.Since(began).Round(time.Second))
		way.heal(net, victim)
		c.untilReplicated()
	}
	f.ended(load)
	f.allThere()
	t.Logf("%d events, cut %d times", f.made.Load(), times)
}
