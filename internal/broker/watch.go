package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// Watch is what a service tells of the broker as its metrics. No label is ever
// taken from a message.
type Watch struct {
	messages, bytes, limit *prometheus.GaugeVec
	certificate            *prometheus.GaugeVec
}

// NewWatch registers the metrics <service>_stream_messages, _stream_bytes and
// _stream_limit_bytes, by stream, and <service>_broker_certificate_expires_seconds.
func NewWatch(registry prometheus.Registerer, service string) *Watch {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: service + "_" + name, Help: help}, labels)
	}
	w := &Watch{
		messages: gauge("stream_messages", "Messages in the stream, asked for every 10 s.", "stream"),
		bytes:    gauge("stream_bytes", "Bytes that the stream holds.", "stream"),
		limit:    gauge("stream_limit_bytes", "Bytes at which the stream is full; not there for a stream without a limit.", "stream"),
		certificate: gauge("broker_certificate_expires_seconds",
			"When the first of the broker's certificates expires, in seconds since 1970; not there without TLS."),
	}
	registry.MustRegister(w.messages, w.bytes, w.limit, w.certificate)
	return w
}

// watchEvery is less than Prometheus' usual 15 s between two looks, and costs the
// broker one request for each stream.
const watchEvery = 10 * time.Second

// Run keeps the metrics of these streams until ctx ends. While the broker is away
// they keep their last value; a stream that is no more is not shown.
func (w *Watch) Run(ctx context.Context, c *Conn, streams ...string) {
	for {
		for _, name := range streams {
			w.look(ctx, c, name)
		}
		w.lookAtCertificate(c)
		if wait(ctx, watchEvery) != nil {
			return
		}
	}
}

func (w *Watch) look(ctx context.Context, c *Conn, name string) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	stream, err := c.JetStream(name).Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		w.messages.DeleteLabelValues(name)
		w.bytes.DeleteLabelValues(name)
		w.limit.DeleteLabelValues(name)
	}
	if err != nil {
		return
	}
	info := stream.CachedInfo()
	w.messages.WithLabelValues(name).Set(float64(info.State.Msgs))
	w.bytes.WithLabelValues(name).Set(float64(info.State.Bytes))
	if limit := info.Config.MaxBytes; limit > 0 {
		w.limit.WithLabelValues(name).Set(float64(limit))
	} else {
		w.limit.DeleteLabelValues(name)
	}
}

// lookAtCertificate notes when the certificates end that the broker showed when it was
// connected to last; one that reloads its certificate shows the new one to the next
// connection.
func (w *Watch) lookAtCertificate(c *Conn) {
	if end := c.certificate.Load(); end != 0 {
		w.certificate.WithLabelValues().Set(float64(end))
	} else {
		w.certificate.Reset()
	}
}

// noteCertificate keeps the Unix time at which the first of the broker's certificates
// ends. The library could be asked for them, but it reads there without a lock what it
// writes when it connects again (nats.go 1.55, TLSConnectionState).
func noteCertificate(end *atomic.Int64) nats.Option {
	return func(o *nats.Options) error {
		if o.TLSConfig == nil {
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		o.TLSConfig.VerifyConnection = func(state tls.ConnectionState) error {
			first := int64(0)
			for _, certificate := range state.PeerCertificates {
				if at := certificate.NotAfter.Unix(); first == 0 || at < first {
					first = at
				}
			}
			end.Store(first)
			return nil
		}
		return nil
	}
}
