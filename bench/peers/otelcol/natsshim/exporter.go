package natsshim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
)

// ExporterConfig says where to publish, with the Collector's own settings for queue and
// repetition.
type ExporterConfig struct {
	exporterhelper.TimeoutConfig `mapstructure:",squash"`

	Retry configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	URL   string                                                   `mapstructure:"url"`
	// Subject takes the place of the first two tokens of the subject that a record
	// came from.
	Subject string `mapstructure:"subject"`
	// Atomic publishes atomic batches, which are much faster where the broker syncs
	// each write.
	Atomic bool `mapstructure:"atomic"`
}

// Validate implements xconfmap.Validator.
func (c *ExporterConfig) Validate() error {
	if c.URL == "" || c.Subject == "" {
		return errors.New("url and subject are needed")
	}
	return nil
}

// NewExporterFactory makes exporters of logs.
func NewExporterFactory() exporter.Factory {
	return exporter.NewFactory(kind, func() component.Config {
		return &ExporterConfig{
			TimeoutConfig: exporterhelper.NewDefaultTimeoutConfig(), Retry: configretry.NewDefaultBackOffConfig(),
			Queue: configoptional.Some(exporterhelper.NewDefaultQueueConfig()),
		}
	}, exporter.WithLogs(func(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
		cfg := config.(*ExporterConfig)
		t := &target{cfg: *cfg}
		return exporterhelper.NewLogs(ctx, set, config, t.publish, exporterhelper.WithStart(t.start), exporterhelper.WithShutdown(t.close),
			exporterhelper.WithTimeout(cfg.TimeoutConfig), exporterhelper.WithRetry(cfg.Retry), exporterhelper.WithQueue(cfg.Queue))
	}, component.StabilityLevelDevelopment))
}

// target is the exporter.
type target struct {
	cfg ExporterConfig
	nc  *nats.Conn
	js  jetstream.JetStream
}

func (t *target) start(context.Context, component.Host) (err error) {
	if t.nc, err = nats.Connect(t.cfg.URL, nats.MaxReconnects(-1)); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	t.js, err = jetstream.New(t.nc)
	return err
}

func (t *target) close(context.Context) error {
	if t.nc != nil {
		t.nc.Close()
	}
	return nil
}

// publish stores all records, each as a message; an error means that some are not.
func (t *target) publish(ctx context.Context, logs plog.Logs) error {
	msgs, err := t.messages(logs)
	if err != nil {
		return err
	}
	if !t.cfg.Atomic {
		return t.publishSingly(ctx, msgs)
	}
	const most = 1000 // nats-server's default limit of a batch
	for start := 0; start < len(msgs); start += most {
		batch := msgs[start:min(start+most, len(msgs))]
		_, err := jetstreamext.PublishMsgBatch(ctx, t.js, batch, jetstreamext.BatchFlowControl{})
		if err == nil {
			continue
		}
		// One that is there already refuses all of them.
		for _, m := range batch {
			m.Header.Del(jetstreamext.BatchIDHeader)
			m.Header.Del(jetstreamext.BatchSeqHeader)
			m.Header.Del(jetstreamext.BatchCommitHeader)
		}
		if err := t.publishSingly(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) publishSingly(ctx context.Context, msgs []*nats.Msg) error {
	futures := make([]jetstream.PubAckFuture, 0, len(msgs))
	for _, m := range msgs {
		f, err := t.js.PublishMsgAsync(m)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		futures = append(futures, f)
	}
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (t *target) messages(logs plog.Logs) ([]*nats.Msg, error) {
	msgs := make([]*nats.Msg, 0, logs.LogRecordCount())
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				m, err := t.message(record)
				if err != nil {
					return nil, err
				}
				msgs = append(msgs, m)
			}
		}
	}
	return msgs, nil
}

func (t *target) message(record plog.LogRecord) (*nats.Msg, error) {
	body, err := json.Marshal(record.Body().AsRaw())
	if err != nil {
		return nil, errors.New("a body cannot be written as JSON")
	}
	subject, _ := record.Attributes().Get(attributeSubject)
	id, _ := record.Attributes().Get(attributeID)
	tokens := strings.SplitN(subject.Str(), ".", 3)
	if len(tokens) < 3 {
		return nil, errors.New("a record has no subject of three tokens or more")
	}
	return &nats.Msg{
		Subject: t.cfg.Subject + "." + tokens[2], Header: nats.Header{jetstream.MsgIDHeader: {id.Str()}}, Data: body,
	}, nil
}
