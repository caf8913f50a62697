package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
	"sluice/schemas"
)

// gauges are the metrics by name and stream.
func gauges(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			all[name] = m.GetGauge().GetValue()
		}
	}
	return all
}

func watch(t *testing.T, conn *broker.Conn, streams ...string) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	w := broker.NewWatch(registry, "test")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, conn, streams...)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return registry
}

func TestWatchTellsHowFullStreamsAre(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OPEN", Subjects: []string{"open"}}); err != nil {
		t.Fatal(err)
	}
	conn.Publish(t.Context(), messages(7, "a"))
	registry := watch(t, conn, schemas.StreamRaw, "OPEN", "GONE")
	until(t, "both streams are told", func() bool { return len(gauges(t, registry)) == 5 })
	got := gauges(t, registry)
	held := state(t, conn, schemas.StreamRaw)
	want := map[string]float64{
		"test_stream_messages EVENTS_RAW": 7, "test_stream_bytes EVENTS_RAW": float64(held.Bytes),
		"test_stream_limit_bytes EVENTS_RAW": float64(schemas.RawStream().MaxBytes),
		"test_stream_messages OPEN":          0, "test_stream_bytes OPEN": 0,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %v, want %v", name, got[name], value)
		}
	}
}

func TestWatchTellsWhenTheCertificateExpires(t *testing.T) {
	t.Parallel()
	expires := time.Now().Add(36 * time.Hour).Truncate(time.Second)
	certificate, ca := selfSigned(t, expires)
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		TLS: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { stopServer(ns) })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not get ready")
	}
	conn, err := broker.Connect(t.Context(), broker.NATS{URL: ns.ClientURL(), CA: ca, ConnectWait: 5 * time.Second}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	registry := watch(t, conn)
	const name = "test_broker_certificate_expires_seconds"
	until(t, "the certificate is told", func() bool { return gauges(t, registry)[name] != 0 })
	if got := gauges(t, registry)[name]; got != float64(expires.Unix()) {
		t.Errorf("got %v, want %v", got, expires.Unix())
	}
}

func TestWatchTellsOfNoCertificateWithoutTLS(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.AlertsStream()); err != nil {
		t.Fatal(err)
	}
	registry := watch(t, conn, schemas.StreamAlerts)
	until(t, "the stream is told", func() bool { return len(gauges(t, registry)) == 3 })
}

// selfSigned is a certificate of 127.0.0.1 and the file that vouches for it.
func selfSigned(t *testing.T, expires time.Time) (certificate tls.Certificate, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: expires,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca
}
