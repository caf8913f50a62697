package broker

import (
	"context"
	"errors"
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

// replicated makes something with as many replicas as are wanted. A broker may have
// a cluster's name and yet be by itself: it says so.
func (c *Conn) replicated(create func(replicas int) error) error {
	err := create(c.wantedReplicas())
	if c.replicas == 0 && code(err) == errCodeNotClustered {
		err = create(1)
	}
	return err
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
	err := c.updateStream(ctx, have)
	if c.replicas == 0 && code(err) == errCodeNotClustered {
		return nil
	}
	if err == nil {
		c.log.Info("keeping a stream on more nodes", "stream", have.Name, "replicas_before", before, "replicas", have.Replicas)
	}
	return err
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
