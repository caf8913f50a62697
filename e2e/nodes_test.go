package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// cluster is three brokers, each a process of its own, with the configuration that
// is shipped.
type cluster struct {
	t     *testing.T
	nodes []*node
	js    jetstream.JetStream
}

// node is one of them. Its command may be wrapped, to run in another network.
type node struct {
	*process
	name, client, monitor string
	env, wrap             []string
	network               *http.Client
}

// startCluster starts three nodes on free ports of 127.0.0.1.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var routes []string
	for range 3 {
		routes = append(routes, keptAddr(t))
	}
	for i, route := range routes {
		n := &node{name: fmt.Sprint("nats-", i), client: keptAddr(t), monitor: keptAddr(t), network: http.DefaultClient}
		n.env = nodeEnv(n, route, routes, t.TempDir())
		c.nodes = append(c.nodes, n)
	}
	c.start()
	return c
}

func nodeEnv(n *node, route string, routes []string, dir string) []string {
	return []string{
		"NATS_NODE=" + n.name, "NATS_LISTEN=" + n.client, "NATS_MONITOR=" + n.monitor,
		"NATS_ROUTE_LISTEN=" + route, "NATS_ROUTES=[nats://" + strings.Join(routes, ", nats://") + "]",
		"NATS_STORE_DIR=" + dir,
	}
}

// keptAddr is a free address for a server that is stopped and started again: its
// port is not one that the system gives to whoever connects meanwhile.
func keptAddr(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	for range 1000 {
		l, err := lc.Listen(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", 12000+rand.IntN(18000)))
		if err == nil {
			defer func() { _ = l.Close() }()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// start starts all nodes and waits until they are one cluster.
func (c *cluster) start() {
	c.t.Helper()
	for _, n := range c.nodes {
		c.startNode(n)
	}
	for _, n := range c.nodes {
		c.untilHealthy(n)
	}
	nc, err := nats.Connect(c.url(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	if c.js, err = jetstream.New(nc); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) startNode(n *node) {
	c.t.Helper()
	config := filepath.Join("..", "deploy", "cluster", "nats", "node.conf")
	n.process = startWrapped(c.t, n.wrap, n.env, "nats-server", "-c", config)
}

// url is how clients find the cluster: by any of its nodes.
func (c *cluster) url() string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, "nats://"+n.client)
	}
	return strings.Join(urls, ",")
}

// untilHealthy waits until the node has all that the others have.
func (c *cluster) untilHealthy(n *node) {
	c.t.Helper()
	until(c.t, n.name+" is healthy", func() error {
		select {
		case <-n.done:
			c.t.Fatalf("%s ended: %v\n%s", n.name, n.err, tail(n.stderr.String()))
		default:
		}
		_, err := n.get("/healthz")
		return err
	})
}

func (n *node) get(path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.monitor+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := n.network.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// leader is the node that leads a stream, or the whole cluster for "".
func (c *cluster) leader(stream string) *node {
	c.t.Helper()
	var found *node
	until(c.t, stream+" has a leader", func() error {
		name, err := c.leaderName(stream)
		if err != nil {
			return err
		}
		for _, n := range c.nodes {
			if n.name == name {
				found = n
				return nil
			}
		}
		return errors.New("none")
	})
	return found
}

func (c *cluster) leaderName(stream string) (string, error) {
	if stream == "" {
		body, err := c.nodes[0].get("/jsz")
		if err != nil {
			return "", err
		}
		var jsz struct {
			Meta struct {
				Leader string `json:"leader"`
			} `json:"meta_cluster"`
		}
		err = json.Unmarshal(body, &jsz)
		return jsz.Meta.Leader, err
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return "", err
	}
	if info := s.CachedInfo(); info.Cluster != nil {
		return info.Cluster.Leader, nil
	}
	return "", errors.New("it is not on a cluster")
}

// kill ends a node by SIGKILL and starts it again after a while.
func (c *cluster) kill(n *node, away time.Duration) {
	c.t.Helper()
	n.signal(c.t, syscall.SIGKILL)
	<-n.done
	<-time.After(away)
	c.startNode(n)
}

// untilReplicated waits until no stream lags behind on any node.
func (c *cluster) untilReplicated() {
	c.t.Helper()
	for _, n := range c.nodes {
		c.untilHealthy(n)
	}
	until(c.t, "all streams are on three nodes", func() error {
		for _, name := range []string{
			schemas.StreamRaw, schemas.StreamClean, schemas.StreamQuarantine, schemas.StreamAlerts,
			"KV_SINK", "KV_ALERT_GROUPS", "KV_ALERT_SILENCES",
		} {
			ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
			stream, err := c.js.Stream(ctx, name)
			cancel()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			info := stream.CachedInfo()
			if info.Config.Replicas != 3 || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
				return fmt.Errorf("%s has %d replicas", name, info.Config.Replicas)
			}
			for _, r := range info.Cluster.Replicas {
				if !r.Current || r.Offline {
					return fmt.Errorf("%s lags behind on %s", name, r.Name)
				}
			}
		}
		return nil
	})
}

func (c *cluster) index(n *node) int {
	for i := range c.nodes {
		if c.nodes[i] == n {
			return i
		}
	}
	return -1
}
