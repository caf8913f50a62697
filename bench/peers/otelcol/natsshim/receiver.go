// Package natsshim is a receiver and an exporter that put an OpenTelemetry Collector
// between two JetStream streams. They are Sluice's and no more than is needed to measure
// the Collector's own components, in the ways that cost least: batches are fetched and
// published as batches, and acknowledged once the pipeline has taken them.
package natsshim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
)

// The attributes of a log record that tell where it came from.
const (
	attributeSubject = "nats.subject"
	attributeID      = "nats.msg_id"
)

// ReceiverConfig says what to read.
type ReceiverConfig struct {
	URL      string `mapstructure:"url"`
	Stream   string `mapstructure:"stream"`
	Consumer string `mapstructure:"consumer"`
	// Batch is how many messages make one batch of logs.
	Batch int `mapstructure:"batch"`
	// Concurrency is how many batches are in the pipeline at a time.
	Concurrency int `mapstructure:"concurrency"`
	// Body is how a message becomes the body of a log record: json is a map, text a
	// string.
	Body string `mapstructure:"body"`
}

// Validate implements xconfmap.Validator.
func (c *ReceiverConfig) Validate() error {
	switch {
	case c.URL == "" || c.Stream == "" || c.Consumer == "":
		return errors.New("url, stream and consumer are needed")
	case c.Body != "json" && c.Body != "text":
		return errors.New("body: want json or text")
	case c.Batch < 1 || c.Concurrency < 1:
		return errors.New("batch and concurrency: want at least 1")
	}
	return nil
}

// kind is the receiver's and the exporter's name in a configuration.
var kind = component.MustNewType("nats")

// NewReceiverFactory makes receivers of logs.
func NewReceiverFactory() receiver.Factory {
	const batch, concurrency = 1000, 2
	return receiver.NewFactory(kind,
		func() component.Config { return &ReceiverConfig{Batch: batch, Concurrency: concurrency, Body: "json"} },
		receiver.WithLogs(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
			return &source{cfg: *cfg.(*ReceiverConfig), next: next, log: set.Logger}, nil
		}, component.StabilityLevelDevelopment))
}

// source is the receiver.
type source struct {
	cfg   ReceiverConfig
	next  consumer.Logs
	log   *zap.Logger
	nc    *nats.Conn
	stop  context.CancelFunc
	group sync.WaitGroup
}

// Start implements component.Component.
func (s *source) Start(ctx context.Context, _ component.Host) error {
	nc, err := nats.Connect(s.cfg.URL, nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	s.nc = nc
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	const ackPending = 50_000
	c, err := js.CreateOrUpdateConsumer(ctx, s.cfg.Stream, jetstream.ConsumerConfig{
		Durable: s.cfg.Consumer, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: ackPending, AckWait: time.Minute,
	})
	if err != nil {
		return fmt.Errorf("make consumer %s: %w", s.cfg.Consumer, err)
	}
	ctx, s.stop = context.WithCancel(context.Background())
	for range s.cfg.Concurrency {
		s.group.Go(func() { s.loop(ctx, c) })
	}
	return nil
}

// Shutdown implements component.Component.
func (s *source) Shutdown(context.Context) error {
	if s.stop != nil {
		s.stop()
		s.group.Wait()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	return nil
}

func (s *source) loop(ctx context.Context, c jetstream.Consumer) {
	const wait = 250 * time.Millisecond
	for ctx.Err() == nil {
		batch, err := c.Fetch(s.cfg.Batch, jetstream.FetchMaxWait(wait))
		if err != nil {
			s.log.Warn("fetch", zap.Error(err))
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		var msgs []jetstream.Msg
		for msg := range batch.Messages() {
			msgs = append(msgs, msg)
		}
		if len(msgs) > 0 {
			s.pass(ctx, msgs)
		}
	}
}

// pass acknowledges what the pipeline has taken, and hands back what it has not.
func (s *source) pass(ctx context.Context, msgs []jetstream.Msg) {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.EnsureCapacity(len(msgs))
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, msg := range msgs {
		if err := s.record(records.AppendEmpty(), msg, now); err != nil {
			s.log.Warn("a message is no JSON") // and not what it is
		}
	}
	if err := s.next.ConsumeLogs(ctx, logs); err != nil {
		s.log.Warn("the pipeline takes nothing", zap.Error(err))
		for _, msg := range msgs {
			_ = msg.NakWithDelay(time.Second)
		}
		return
	}
	for _, msg := range msgs {
		_ = msg.Ack() // what is lost is redelivered
	}
}

func (s *source) record(to plog.LogRecord, msg jetstream.Msg, now pcommon.Timestamp) error {
	to.SetTimestamp(now)
	to.SetObservedTimestamp(now)
	to.Attributes().PutStr(attributeSubject, msg.Subject())
	to.Attributes().PutStr(attributeID, msg.Headers().Get(jetstream.MsgIDHeader))
	if s.cfg.Body == "text" {
		to.Body().SetStr(string(msg.Data()))
		return nil
	}
	var body map[string]any
	if err := json.Unmarshal(msg.Data(), &body); err != nil {
		return err
	}
	return to.Body().SetEmptyMap().FromRaw(body)
}
