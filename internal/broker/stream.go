package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// EnsureStreams makes each stream exist with what the contract demands. Of a
// stream that exists, size, age, replicas, storage and placement stay as they
// are: those are the operator's. Several services may call it at once.
func (c *Conn) EnsureStreams(ctx context.Context, streams ...schemas.Stream) error {
	for _, s := range streams {
		if err := c.ensureStream(ctx, s); err != nil {
			return fmt.Errorf("set up stream %s: %w", s.Name, explain(err))
		}
	}
	return nil
}

func (c *Conn) ensureStream(ctx context.Context, s schemas.Stream) error {
	want := c.streamConfig(s)
	stream, err := c.JS.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = c.JS.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another service was faster
			stream, err = c.JS.Stream(ctx, s.Name)
		}
	}
	if err != nil {
		return err
	}
	have := stream.CachedInfo().Config
	if have.Retention != want.Retention {
		return fmt.Errorf("its retention is %s and must be %s: rename or remove that stream", have.Retention, want.Retention)
	}
	merged := have
	merged.Description, merged.Subjects, merged.Discard = want.Description, want.Subjects, want.Discard
	merged.Duplicates, merged.AllowAtomicPublish = want.Duplicates, want.AllowAtomicPublish
	merged.AllowBatchPublish, merged.AllowDirect = want.AllowBatchPublish, want.AllowDirect
	if same(have, merged) {
		return nil
	}
	_, err = c.JS.UpdateStream(ctx, merged)
	return err
}

func same(a, b jetstream.StreamConfig) bool {
	return a.Description == b.Description && slices.Equal(a.Subjects, b.Subjects) && a.Discard == b.Discard &&
		a.Duplicates == b.Duplicates && a.AllowAtomicPublish == b.AllowAtomicPublish &&
		a.AllowBatchPublish == b.AllowBatchPublish && a.AllowDirect == b.AllowDirect
}

func (c *Conn) streamConfig(s schemas.Stream) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: s.Name, Description: s.Description, Subjects: s.Subjects,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		MaxBytes: s.MaxBytes, MaxAge: s.MaxAge, Duplicates: s.Duplicates, Replicas: 1,
		// Batches carry the hot path: one fsync for all of a batch.
		AllowAtomicPublish: true, AllowBatchPublish: true, AllowDirect: true,
	}
	if s.HeaderRoom > 0 {
		cfg.MaxMsgSize = int32(min(c.NC.MaxPayload(), schemas.MaxPayloadBytes)) - int32(s.HeaderRoom)
	}
	if s.DiscardOld {
		cfg.Discard = jetstream.DiscardOld
	}
	return cfg
}

// EnsureConsumer makes the durable pull consumer exist as the contract demands,
// changing it in place where it differs.
func (c *Conn) EnsureConsumer(ctx context.Context, want schemas.Consumer) (jetstream.Consumer, error) {
	consumer, err := c.JS.CreateOrUpdateConsumer(ctx, want.Stream, jetstream.ConsumerConfig{
		Durable: want.Durable, Description: want.Description, FilterSubjects: want.FilterSubjects,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: want.AckWait, MaxAckPending: want.MaxAckPending, MaxDeliver: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("set up consumer %s on %s: %w", want.Durable, want.Stream, explain(err))
	}
	return consumer, nil
}

// explain adds to an error of the broker what a person can do about it.
func explain(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: enable jetstream in the broker's configuration", err)
	case errors.As(err, &api) && api.ErrorCode == errCodeStorageExceeded:
		return fmt.Errorf("%w: raise the broker's max_file_store, or create the stream beforehand with a smaller max_bytes", err)
	}
	return err
}

const errCodeStorageExceeded jetstream.ErrorCode = 10047
