package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// startCluster runs three real brokers as one cluster, and waits until it takes
// streams.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	var nodes []*server.Server
	var routes []*url.URL
	for i := range 3 {
		port := freePort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
		ns, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(),
			Cluster:    server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port},
			MaxPayload: schemas.MaxPayloadBytes, NoLog: true, NoSigs: true, Routes: routes,
		})
		if err != nil {
			t.Fatalf("make node %d: %v", i, err)
		}
		nodes = append(nodes, ns)
		ns.Start()
		t.Cleanup(func() { stopServer(ns) })
	}
	return nodes
}

func freePort(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func replicas(t *testing.T, conn *broker.Conn, name string) int {
	t.Helper()
	stream, err := conn.JS.Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("look up %s: %v", name, err)
	}
	return stream.CachedInfo().Config.Replicas
}

// On a cluster streams, consumers and buckets are kept on three nodes, without a
// setting and while the cluster is still electing; those of an earlier version,
// on one node, come to be so in place.
func TestReplicasOnACluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	single, err := broker.Connect(t.Context(), broker.NATS{URL: nodes[0].ClientURL(), ConnectWait: 5 * time.Second, Replicas: 1}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(single.Close)
	bucket := schemas.Bucket{Name: "KEPT", MaxBytes: 1 << 20}
	// The cluster has no leader yet: that is waited for.
	fillClean(t, single, 50)
	kv, err := single.OpenBucket(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	consumer, err := single.EnsureConsumer(t.Context(), reader())
	if err != nil {
		t.Fatal(err)
	}
	takeAndAck(t, single, consumer, 20)
	for _, name := range []string{schemas.StreamClean, "KV_KEPT"} {
		if got := replicas(t, single, name); got != 1 {
			t.Fatalf("%s: got %d replicas, want 1", name, got)
		}
	}

	conn := connect(t, nodes[1])
	if err := conn.EnsureStreams(t.Context(), schemas.CleanStream()); err != nil {
		t.Fatal(err)
	}
	if kv, err = conn.OpenBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	if consumer, err = conn.EnsureConsumer(t.Context(), reader()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{schemas.StreamClean, "KV_KEPT"} {
		if got := replicas(t, conn, name); got != 3 {
			t.Errorf("%s: got %d replicas, want 3", name, got)
		}
	}
	until(t, "all of it is on three nodes", func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.Cluster != nil && len(info.Cluster.Replicas) == 2 && info.AckFloor.Stream == 20
	})
	if entry, err := kv.Get(t.Context(), "a"); err != nil || string(entry.Value()) != "1" {
		t.Errorf("the bucket's key: got %v, error %v", entry, err)
	}
	if got := state(t, conn, schemas.StreamClean); got.Msgs != 50 || got.LastSeq != 50 {
		t.Errorf("got %d messages up to %d, want the 50 of before", got.Msgs, got.LastSeq)
	}

	// Whoever asks for fewer takes nothing away.
	if err := single.EnsureStreams(t.Context(), schemas.CleanStream()); err != nil {
		t.Fatal(err)
	}
	if got := replicas(t, conn, schemas.StreamClean); got != 3 {
		t.Errorf("got %d replicas after a service that asks for one, want 3", got)
	}
	takeAndAck(t, conn, consumer, 30)
	stopServer(nodes[0])
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Errorf("make a stream with one of three nodes away: %v", err)
	}
}

// reader is a consumer of EVENTS_CLEAN that acknowledges one by one.
func reader() schemas.Consumer {
	c := schemas.RedactorConsumer()
	c.Stream, c.AckWait = schemas.StreamClean, time.Second
	return c
}

func takeAndAck(t *testing.T, conn *broker.Conn, consumer jetstream.Consumer, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: n})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		d, open := <-feed.C()
		if !open {
			t.Fatalf("the feed ended: %v", feed.Err())
		}
		if err := d.DoubleAck(t.Context()); err != nil {
			t.Fatalf("acknowledge %d: %v", d.Sequence, err)
		}
	}
}

// A consumer whose node is away says nothing of what it has acknowledged, and
// holds back all that it may have yet to deliver.
func TestTrimWithAConsumerAway(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	conn := connect(t, nodes[0])
	fillClean(t, conn, 40)
	away := jetstream.ConsumerConfig{Durable: "away", AckPolicy: jetstream.AckExplicitPolicy, Replicas: 1}
	consumer, err := conn.JS.CreateOrUpdateConsumer(t.Context(), schemas.StreamClean, away)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
	if err != nil {
		t.Fatal(err)
	}
	takeAndAck(t, conn, consumer, 10)
	takeAndAck(t, conn, sink, 40)
	home := consumer.CachedInfo().Cluster.Leader
	if home == nodes[0].Name() {
		conn = connect(t, nodes[1])
	}
	for _, ns := range nodes {
		if ns.Name() == home {
			stopServer(ns)
		}
	}
	all := broker.Replay{Stream: schemas.StreamClean, Required: []string{schemas.ConsumerSink}, Bytes: 1, Age: time.Hour}
	until(t, "the stream has a leader", func() bool {
		_, err := conn.JS.Stream(t.Context(), schemas.StreamClean)
		return err == nil
	})
	removed, err := conn.Trim(t.Context(), all)
	t.Logf("removed %d, error %v", removed, err) // either will do
	if got := state(t, conn, schemas.StreamClean); got.Msgs < 30 {
		t.Errorf("got %d messages left, want at least the 30 that a consumer has yet to deliver", got.Msgs)
	}
}

// On a cluster the broker says that a request is done before it has sent all of its
// messages. A reader that is slow gets each message once all the same: none comes
// for which there is no room.
func TestFeedOnAClusterAsksForNoMoreThanItHolds(t *testing.T) {
	t.Parallel()
	const n = 5000
	conn := connect(t, startCluster(t)[0])
	fillClean(t, conn, n)
	want := reader()
	want.AckWait = time.Minute
	consumer, err := conn.EnsureConsumer(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	feed, err := conn.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 100, Bytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	delivered := uint64(1)
	until(t, "the broker sends no more to a reader that does not read", func() bool {
		info, err := consumer.Info(t.Context())
		if err != nil || info.Delivered.Consumer == 0 {
			return false
		}
		before := delivered
		delivered = info.Delivered.Consumer
		return before == delivered
	})
	if delivered > 500 {
		t.Errorf("%d messages were sent to a reader with room for 100, and 100 on their way", delivered)
	}
	for i := range n {
		d := <-feed.C()
		if d.Deliveries != 1 {
			t.Fatalf("message %d is delivered for the %dth time", i+1, d.Deliveries)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
}
