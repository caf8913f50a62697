package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// EnsureStreams makes each stream exist with what the contract demands. Of a
// stream that exists, size, age, storage and placement stay as they are: those are
// the operator's. Replicas are added and never taken away. Several services may
// call it at once.
//
// Where the broker's permissions let this user make no streams, it waits until the
// redactor has made what is missing, and leaves what is there as it is.
func (c *Conn) EnsureStreams(ctx context.Context, streams ...schemas.Stream) error {
	for _, s := range streams {
		err := c.untilMade(ctx, "stream", s.Name, func(ctx context.Context) error { return c.ensureStream(ctx, s) })
		if err != nil {
			return fmt.Errorf("set up stream %s: %w", s.Name, explain(err))
		}
	}
	return nil
}

// lookAgain is how often a service looks whether the redactor has made what it needs.
const lookAgain = 500 * time.Millisecond

// errNotMade: it is not there, and this user may not make it.
var errNotMade = errors.New("it is missing")

// untilMade makes something, or waits until the redactor has, where this user may not.
func (c *Conn) untilMade(ctx context.Context, kind, name string, ensure func(context.Context) error) error {
	for said := false; ; said = true {
		err := c.settled(ctx, func() error { return ensure(ctx) })
		if !errors.Is(err, errNotMade) {
			return err
		}
		if !said {
			c.log.Warn("waiting: this is missing, and this user of the broker may not make it; the redactor makes it when it starts",
				"kind", kind, "name", name)
		}
		if err := wait(ctx, lookAgain); err != nil {
			return err
		}
	}
}

func (c *Conn) ensureStream(ctx context.Context, s schemas.Stream) error {
	want, stream := c.streamConfig(s), jetstream.Stream(nil)
	err := c.unlessDenied(ctx, func(ctx context.Context) (err error) {
		stream, err = c.JetStream(s.Name).Stream(ctx, s.Name)
		return err
	}, c.api("STREAM.INFO."+s.Name, s.Name))
	switch {
	case errors.Is(err, ErrDenied):
		return nil // what publishes to it will tell whether it is there
	case errors.Is(err, jetstream.ErrStreamNotFound):
		stream, err = c.makeStream(ctx, want)
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
	if merged.Replicas >= c.wantedReplicas() && same(have, merged) {
		return nil
	}
	if !same(have, merged) {
		err = c.updateStream(ctx, merged)
	}
	if err == nil {
		err = c.raiseReplicas(ctx, merged)
	}
	if errors.Is(err, ErrDenied) {
		c.log.Warn("a stream is not as this version wants it, and this user of the broker may not change it: start the redactor of this version", "name", s.Name)
		return nil
	}
	return err
}

func (c *Conn) updateStream(ctx context.Context, want jetstream.StreamConfig) error {
	return c.unlessDenied(ctx, func(ctx context.Context) error {
		_, err := c.JetStream(want.Name).UpdateStream(ctx, want)
		return err
	}, c.api("STREAM.UPDATE."+want.Name, want.Name))
}

func (c *Conn) makeStream(ctx context.Context, want jetstream.StreamConfig) (stream jetstream.Stream, err error) {
	js := c.JetStream(want.Name)
	err = c.unlessDenied(ctx, func(ctx context.Context) error {
		return c.replicated(func(replicas int) error {
			want.Replicas = replicas
			stream, err = js.CreateStream(ctx, want)
			return err
		})
	}, c.api("STREAM.CREATE."+want.Name, want.Name))
	switch {
	case errors.Is(err, ErrDenied):
		return nil, errNotMade
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse): // another service was faster
		return js.Stream(ctx, want.Name)
	}
	return stream, err
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
