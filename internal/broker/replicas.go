package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterReplicas is on how many nodes of a cluster a stream is kept where
// nothing else is said: with three, one may be lost. The broker takes up to five.
const (
	clusterReplicas = 3
	maxReplicas     = 5
)

// replicas is how many a stream has to have. A broker by itself has no cluster's
// name.
func (c *Conn) wantedReplicas() int {
	switch {
	case c.replicas > 0:
		return c.replicas
	case c.NC.ConnectedClusterName() != "":
		return clusterReplicas
	}
	return 1
}

// createStream makes a stream with as many replicas as are wanted. A broker may
// have a cluster's name and yet be by itself: it says so.
func (c *Conn) createStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Replicas = c.wantedReplicas()
	stream, err := c.JS.CreateStream(ctx, cfg)
	if c.replicas == 0 && code(err) == errCodeNotClustered {
		cfg.Replicas = 1
		stream, err = c.JS.CreateStream(ctx, cfg)
	}
	return stream, err
}

// raiseReplicas gives a stream of fewer replicas as many as are wanted, in place;
// its consumers get as many as the stream. It takes none away: an operator may
// want more, and another service of the same installation too.
func (c *Conn) raiseReplicas(ctx context.Context, have jetstream.StreamConfig) error {
	if have.Replicas >= c.wantedReplicas() {
		return nil
	}
	before := have.Replicas
	have.Replicas = c.wantedReplicas()
	_, err := c.JS.UpdateStream(ctx, have)
	if c.replicas == 0 && code(err) == errCodeNotClustered {
		return nil
	}
	if err == nil {
		c.log.Info("keeping a stream on more nodes", "stream", have.Name, "replicas_before", before, "replicas", have.Replicas)
	}
	return err
}

// OpenBucket opens a key-value store, and makes it if it is not there. Of one that
// exists everything but too few replicas stays as it is: size and placement are
// the operator's.
func (c *Conn) OpenBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	var kv jetstream.KeyValue
	err := c.settled(ctx, func() (err error) {
		kv, err = c.openBucket(ctx, cfg)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open key-value store %s: %w", cfg.Bucket, explain(err))
	}
	return kv, nil
}

func (c *Conn) openBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := c.JS.KeyValue(ctx, cfg.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		cfg.Replicas = c.wantedReplicas()
		kv, err = c.JS.CreateKeyValue(ctx, cfg)
		if c.replicas == 0 && code(err) == errCodeNotClustered {
			cfg.Replicas = 1
			kv, err = c.JS.CreateKeyValue(ctx, cfg)
		}
		if errors.Is(err, jetstream.ErrBucketExists) { // another instance was faster
			kv, err = c.JS.KeyValue(ctx, cfg.Bucket)
		}
	}
	if err != nil {
		return nil, err
	}
	stream, err := c.JS.Stream(ctx, "KV_"+cfg.Bucket)
	if err != nil {
		return nil, err
	}
	return kv, c.raiseReplicas(ctx, stream.CachedInfo().Config)
}

// settleWait is how long a cluster may take until it can be set up: nodes that
// start together elect a leader for the cluster and then one for each stream, up to
// nine seconds each, while their supervisor starts them one after the other.
const settleWait = 45 * time.Second

// settled does what sets something up, again while a cluster is between leaders
// or a node of it is away.
func (c *Conn) settled(ctx context.Context, do func() error) error {
	patience, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	said := false
	for {
		err := do()
		if err == nil || !betweenLeaders(err) || ctx.Err() != nil || c.NC.IsClosed() {
			return err
		}
		if !said {
			said = true
			c.log.Warn("the broker's cluster is not ready; trying again", "error", err)
		}
		if wait(patience, retryLast/4) != nil {
			return err
		}
	}
}

// The broker's error codes for a cluster that cannot answer now.
const (
	errCodeIncomplete      jetstream.ErrorCode = 10004
	errCodeNoPeers         jetstream.ErrorCode = 10005
	errCodeNotAvailable    jetstream.ErrorCode = 10008
	errCodeNotLeader       jetstream.ErrorCode = 10009
	errCodeRaft            jetstream.ErrorCode = 10041
	errCodeNotClustered    jetstream.ErrorCode = 10074
	errCodeStreamOffline   jetstream.ErrorCode = 10118
	errCodeConsumerOffline jetstream.ErrorCode = 10119
)

// code is the broker's code of an error, 0 for none.
func code(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}

// betweenLeaders tells a cluster that is electing, or has lost a node, from a
// broker that has refused.
func betweenLeaders(err error) bool {
	switch code(err) {
	case errCodeIncomplete, errCodeNoPeers, errCodeNotAvailable, errCodeNotLeader, errCodeRaft,
		errCodeStreamOffline, errCodeConsumerOffline:
		return true
	case 0:
		// Nobody answers while a stream or a consumer has no leader.
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
			errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
	}
	return false
}

// Passing tells an error that time may mend, a broker that is away or a cluster
// between two leaders, from one with which the broker has refused what was asked.
func Passing(err error) bool {
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, jetstream.ErrConsumerDeleted) {
		return false
	}
	return code(err) == 0 || betweenLeaders(err)
}
