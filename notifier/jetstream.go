package notifier

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// Bucket is the JetStream key-value store that holds the groups, one key
// <tenant>.<digest> each.
const Bucket = schemas.BucketGroups

const (
	// maxGroups is how many groups are kept apart; what comes beyond is counted
	// together. It is also about how many a person could look at in a month.
	maxGroups = 10_000
	// putsAtOnce is how many writes are on their way at a time.
	putsAtOnce = 500
	// storeWait is how long one attempt to reach the store may take.
	storeWait = 5 * time.Second
)

// What can be wrong with a write to the store.
var (
	// errConflict: somebody else has written the group; load it and fold again.
	errConflict = errors.New("the group was changed by another notifier")
	// errTooLarge: the broker takes no message of this size; leave something out.
	errTooLarge = errors.New("the group is larger than the broker allows")
)

// bucket is the store. It speaks to the stream under the key-value interface,
// because that writes one key at a time and waits for each.
type bucket struct {
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	stream jetstream.Stream
	// markers tells that the store forgets by itself that a key was removed.
	markers bool
}

// openBucket opens the store and makes it if it is not there. One that exists
// stays as it is: size, replicas and placement are the operator's.
func openBucket(ctx context.Context, conn *broker.Conn) (*bucket, error) {
	kv, err := conn.OpenBucket(ctx, schemas.GroupsBucket())
	if err != nil {
		return nil, err
	}
	stream, err := conn.JS.Stream(ctx, "KV_"+Bucket)
	if err != nil {
		return nil, fmt.Errorf("open key-value store %s: %w", Bucket, err)
	}
	return &bucket{js: conn.JS, kv: kv, stream: stream, markers: stream.CachedInfo().Config.AllowMsgTTL}, nil
}

func groupSubject(key string) string { return "$KV." + Bucket + "." + key }

// put is one write: the value takes the place of the revision, 0 for a key that
// is not there.
type put struct {
	key      string
	value    []byte
	revision uint64
}

// stored is what became of a put: the new revision, or why there is none.
type stored struct {
	revision uint64
	err      error
}

// write writes the groups and returns what became of each.
func (b *bucket) write(ctx context.Context, puts []put) []stored {
	results := make([]stored, 0, len(puts))
	for len(results) < len(puts) {
		results = append(results, b.writeSome(ctx, puts[len(results):min(len(puts), len(results)+putsAtOnce)])...)
	}
	return results
}

func (b *bucket) writeSome(ctx context.Context, puts []put) []stored {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	results := make([]stored, len(puts))
	futures := make([]jetstream.PubAckFuture, len(puts))
	for i, p := range puts {
		msg := nats.NewMsg(groupSubject(p.key))
		msg.Data = p.value
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(p.revision, 10))
		futures[i], results[i].err = b.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
	}
	for i, future := range futures {
		if future != nil {
			results[i] = settle(ctx, future)
		}
		results[i].err = classify(results[i].err)
	}
	return results
}

func settle(ctx context.Context, future jetstream.PubAckFuture) stored {
	select {
	case ack := <-future.Ok():
		return stored{revision: ack.Sequence}
	case err := <-future.Err():
		return stored{err: err}
	case <-ctx.Done():
		return stored{err: fmt.Errorf("no answer from the broker: %w", ctx.Err())}
	}
}

// errCodeMsgTooLarge is the broker's word for a message beyond a stream's own limit.
const errCodeMsgTooLarge jetstream.ErrorCode = 10054

// classify gives the errors that the caller acts on their names.
func classify(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", errTooLarge, err)
	case errors.As(err, &api):
		switch api.ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return fmt.Errorf("%w: %w", errConflict, err)
		case errCodeMsgTooLarge:
			return fmt.Errorf("%w: %w", errTooLarge, err)
		}
	}
	return err
}

// load reads a group: its value, nil if it is not there, and the revision that
// the next write must name.
func (b *bucket) load(ctx context.Context, key string) ([]byte, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	msg, err := b.stream.GetLastMsgForSubject(ctx, groupSubject(key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("load group: %w", err)
	case msg.Header.Get("KV-Operation") != "" || msg.Header.Get(jetstream.MarkerReasonHeader) != "":
		return nil, msg.Sequence, nil
	}
	return msg.Data, msg.Sequence, nil
}

// remove removes the group if the revision is still the last.
func (b *bucket) remove(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	opts := []jetstream.KVDeleteOpt{jetstream.LastRevision(revision)}
	if b.markers {
		opts = append(opts, jetstream.PurgeTTL(schemas.AlertMarkerTTL))
	}
	return classify(b.kv.Purge(ctx, key, opts...))
}

// watch delivers every group, then nil, then every change, until ctx ends.
func (b *bucket) watch(ctx context.Context) (<-chan jetstream.KeyValueEntry, error) {
	watcher, err := b.kv.WatchAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("watch key-value store %s: %w", Bucket, err)
	}
	return watcher.Updates(), nil
}

// alertsSince returns the ids of the alerts that ALERTS has stored since then.
func alertsSince(ctx context.Context, js jetstream.JetStream, since time.Time) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, schemas.StreamAlerts, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, HeadersOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("look up alerts: %w", err)
	}
	ids := map[string]bool{}
	for pending := consumer.CachedInfo().NumPending; pending > 0; {
		batch, err := consumer.Fetch(int(min(pending, fetchAlerts)), jetstream.FetchMaxWait(storeWait/2))
		if err != nil {
			return nil, fmt.Errorf("look up alerts: %w", err)
		}
		got := uint64(0)
		for msg := range batch.Messages() {
			ids[msg.Headers().Get(nats.MsgIdHdr)] = true
			got++
		}
		if err := batch.Error(); err != nil {
			return nil, fmt.Errorf("look up alerts: %w", err)
		}
		if got == 0 {
			return nil, fmt.Errorf("look up alerts: %d are missing", pending)
		}
		pending -= min(got, pending)
	}
	return ids, nil
}

// fetchAlerts is how many headers are read at a time.
const fetchAlerts = 1000

// follow reports every few seconds how many events wait for the notifiers, and
// up to which sequence all of them were acknowledged some time ago. What is that
// old is not delivered again: the broker writes its own state of a consumer at
// the latest a second after it has changed.
func follow(ctx context.Context, consumer jetstream.Consumer, m *metrics, floors chan<- uint64) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		info, err := consumer.Info(ctx)
		if err != nil {
			continue // the next one will tell; the connection says itself when it is lost
		}
		m.lag.Set(float64(info.NumPending) + float64(info.NumAckPending))
		select {
		case floors <- before:
		case <-ctx.Done():
			return
		}
		before = info.AckFloor.Stream
	}
}

// followEvery is also the least age of the floor.
const followEvery = 2 * time.Second

// feedBuffer is how much is fetched ahead: a batch, and no more than a few of the
// largest events.
var feedBuffer = broker.Buffer{Msgs: maxTaken, Bytes: 16 << 20}
