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
// stream that exists, size, age, storage and placement stay as they are: those are
// the operator's. Replicas are added and never taken away. Several services may
// call it at once.
func (c *Conn) EnsureStreams(ctx context.Context, streams ...schemas.Stream) error {
	for _, s := range streams {
		if err := c.settled(ctx, func() error { return c.ensureStream(ctx, s) }); err != nil {
			return fmt.Errorf("set up stream %s: %w", s.Name, explain(err))
		}
	}
	return nil
}

func (c *Conn) ensureStream(ctx context.Context, s schemas.Stream) error {
	want := c.streamConfig(s)
	stream, err := c.JS.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = c.createStream(ctx, want)
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
	if !same(have, merged) {
		if _, err = c.JS.UpdateStream(ctx, merged); err != nil {
			return err
		}
	}
	return c.raiseReplicas(ctx, merged)
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
		MaxBytes: s.MaxBytes, MaxAge: s.MaxAge, Duplicates: s.Duplicates,
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
	cfg := jetstream.ConsumerConfig{
		Durable: want.Durable, Description: want.Description, FilterSubjects: want.FilterSubjects,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: want.AckWait, MaxAckPending: want.MaxAckPending, MaxDeliver: -1,
	}
	if want.InOrder {
		cfg.AckPolicy = jetstream.AckAllPolicy
	}
	var consumer jetstream.Consumer
	err := c.settled(ctx, func() (err error) {
		consumer, err = c.ensureConsumer(ctx, want.Stream, cfg)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("set up consumer %s on %s: %w", want.Durable, want.Stream, explain(err))
	}
	return consumer, nil
}

func (c *Conn) ensureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	have, err := c.JS.Consumer(ctx, stream, cfg.Durable)
	switch {
	case err == nil && have.CachedInfo().Config.AckPolicy != cfg.AckPolicy:
		return c.replaceConsumer(ctx, stream, have.CachedInfo().AckFloor.Stream+1, cfg)
	case err == nil:
		return c.JS.CreateOrUpdateConsumer(ctx, stream, cfg)
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, err
	}
	if moving, err := c.JS.Consumer(ctx, stream, cfg.Durable+movingSuffix); err == nil { // replacing was interrupted
		return c.replaceConsumer(ctx, stream, moving.CachedInfo().Config.OptStartSeq, cfg)
	}
	return c.JS.CreateOrUpdateConsumer(ctx, stream, cfg)
}

// movingSuffix makes the name of the placeholder of a consumer that is replaced.
const movingSuffix = "-moving"

// replaceConsumer makes a consumer anew that an earlier version made with another
// way to acknowledge, which the broker does not change in place. The new one goes
// on at next, where the old one was. Meanwhile a placeholder keeps Trim from what
// is not acknowledged.
func (c *Conn) replaceConsumer(ctx context.Context, stream string, next uint64, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	placeholder := cfg
	placeholder.Durable = cfg.Durable + movingSuffix
	placeholder.DeliverPolicy, placeholder.OptStartSeq = jetstream.DeliverByStartSequencePolicy, next
	if _, err := c.JS.CreateOrUpdateConsumer(ctx, stream, placeholder); err != nil {
		return nil, err
	}
	if err := c.JS.DeleteConsumer(ctx, stream, cfg.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	if _, err := c.JS.CreateOrUpdateConsumer(ctx, stream, cfg); err != nil {
		return nil, err
	}
	if err := c.ResetTo(ctx, stream, cfg.Durable, next); err != nil {
		return nil, err
	}
	c.log.Info("made a consumer anew, to acknowledge in order", "stream", stream, "consumer", cfg.Durable, "seq", next)
	if err := c.JS.DeleteConsumer(ctx, stream, placeholder.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	return c.JS.Consumer(ctx, stream, cfg.Durable)
}

// ResetTo makes the consumer deliver from that sequence on, and count what is
// before it as acknowledged; 0 means from the first one that is not. It needs
// nats-server 2.14.
func (c *Conn) ResetTo(ctx context.Context, stream, consumer string, seq uint64) error {
	if _, err := c.JS.ResetConsumerToSequence(ctx, stream, consumer, seq); err != nil {
		return fmt.Errorf("reset consumer %s on %s: %w", consumer, stream, explain(err))
	}
	return nil
}

// explain adds to an error of the broker what a person can do about it.
func explain(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: enable jetstream in the broker's configuration", err)
	case code(err) == errCodeNotClustered:
		return fmt.Errorf("%w: this broker is a single one: unset NATS_REPLICAS, or join it to a cluster", err)
	case code(err) == errCodeNoPeers:
		return fmt.Errorf("%w: start as many nodes as NATS_REPLICAS says (3 where it says nothing), or set it to 1", err)
	case errors.As(err, &api) && api.ErrorCode == errCodeStorageExceeded:
		return fmt.Errorf("%w: raise the broker's max_file_store, or create the stream beforehand with a smaller max_bytes", err)
	}
	return err
}

const errCodeStorageExceeded jetstream.ErrorCode = 10047
