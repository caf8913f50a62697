package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Limits of one batch.
const (
	// MaxBatchMsgs is nats-server's default limit of an atomic batch.
	MaxBatchMsgs = 1000
	// maxBatchBytes bounds what one batch holds in the broker's memory until it
	// is committed.
	maxBatchBytes = 8 << 20
	// MinBatchMsgs is from how many messages on a batch is the faster way: the
	// broker stages a batch in a folder of its own and syncs its files one after the
	// other. By itself that takes as long as some ten single writes (measured with 8
	// and 16 messages, syncing each write: 3.3 ms against 2.0, and 3.0 against 4.7),
	// beside other writers twice that. And what takes longer gathers more: with 12
	// here, 1,000 events a second could get stuck at batches of a dozen, each taking as
	// long as the next dozen needed to come (four runs in turn, an alert's p99: 26 to
	// 141 ms with 12, 21 to 39 ms with 24).
	MinBatchMsgs = 24
)

// Reasons for which a message was not published. All of them are final for this
// attempt: the stream did not take the message.
var (
	// ErrFull is returned when the stream is full and refuses new messages. Try
	// again when whoever reads it has caught up.
	ErrFull = errors.New("the stream is full")
	// ErrTooLarge is returned for a message larger than broker or stream allow.
	// Trying again will not help.
	ErrTooLarge = errors.New("the message is larger than the broker allows")
	// ErrNoStream is returned when no stream takes the subject.
	ErrNoStream = errors.New("no stream takes this subject")
)

// Result tells what became of one message.
type Result struct {
	// Sequence is where the stream holds the message.
	Sequence uint64
	// Duplicate tells that a message with this id was there already.
	Duplicate bool
	// Err is why the message is not stored, or not known to be.
	Err error
}

// Publish stores the messages, all bound for one stream, and reports what became
// of each, in order. Every message needs a Nats-Msg-Id: Publish tries again
// until it knows the outcome or ctx ends, and the id is what makes that
// harmless. Messages go as atomic batches, which cost the broker one fsync each;
// a batch that holds a duplicate is refused as a whole and its messages are sent
// one by one.
func (c *Conn) Publish(ctx context.Context, msgs []*nats.Msg) []Result {
	results := make([]Result, len(msgs))
	for start := 0; start < len(msgs); {
		if err := ctx.Err(); err != nil && start > 0 {
			for i := start; i < len(msgs); i++ {
				results[i].Err = err
			}
			break
		}
		end := c.batchEnd(msgs, start, results)
		if end > start {
			c.publishChunk(ctx, msgs[start:end], results[start:end])
			start = end
			continue
		}
		start++ // too large by itself: batchEnd has said so
	}
	return results
}

// batchEnd returns the end of the batch that begins at start. A message at start
// that no broker would take is refused here, since it would only break the
// connection.
func (c *Conn) batchEnd(msgs []*nats.Msg, start int, results []Result) int {
	size, limit := 0, int(c.NC.MaxPayload())
	for end := start; end < len(msgs); end++ {
		n := MsgBytes(msgs[end])
		if n > limit {
			if end == start {
				results[start].Err = fmt.Errorf("%w: %d bytes of at most %d", ErrTooLarge, n, limit)
			}
			return end
		}
		if size += n; end > start && (size > maxBatchBytes || end-start == MaxBatchMsgs) {
			return end
		}
	}
	return len(msgs)
}

// batchHeaderBytes is what an atomic batch adds to a message's headers: id,
// sequence and commit, by jetstreamext's names and lengths.
const batchHeaderBytes = 160

// MsgBytes is what a message counts against max_payload, the headers of a batch
// included.
func MsgBytes(m *nats.Msg) int {
	n := len(m.Data) + len("NATS/1.0\r\n\r\n") + batchHeaderBytes
	for name, values := range m.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

func (c *Conn) publishChunk(ctx context.Context, msgs []*nats.Msg, results []Result) {
	if len(msgs) >= MinBatchMsgs && c.publishAtomic(ctx, msgs, results) {
		return
	}
	pending := make([]int, len(msgs))
	for i := range pending {
		pending[i] = i
	}
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		pending = c.publishSingly(ctx, msgs, pending, results)
		if len(pending) == 0 {
			return
		}
		if wait(ctx, delay) != nil {
			return // the results hold the last error
		}
	}
}

// The delays between attempts: short, since most faults are a leader election or
// a reconnect, and never so long that a recovered broker waits for us.
const (
	retryFirst = 50 * time.Millisecond
	retryLast  = 2 * time.Second
	// attemptWait is how long one attempt waits for the broker's word; a fsync
	// on a busy disk takes tenths of a second.
	attemptWait = 5 * time.Second
)

// publishAtomic reports whether it settled every message; if not, they are to be
// sent one by one, which finds those that a lost answer left stored.
func (c *Conn) publishAtomic(ctx context.Context, msgs []*nats.Msg, results []Result) bool {
	for _, m := range msgs {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
	}
	attempt, cancel := c.attempt(ctx)
	defer cancel()
	ack, err := jetstreamext.PublishMsgBatch(attempt, c.JS, msgs,
		// The first message needs no word of its own: the commit has it.
		jetstreamext.BatchFlowControl{AckFirst: false, AckTimeout: attemptWait})
	for _, m := range msgs {
		m.Header.Del(jetstreamext.BatchIDHeader)
		m.Header.Del(jetstreamext.BatchSeqHeader)
		m.Header.Del(jetstreamext.BatchCommitHeader)
	}
	if err == nil {
		for i := range results {
			results[i] = Result{Sequence: ack.Sequence - uint64(len(msgs)-1-i)}
		}
		return true
	}
	if err = classify(err); errors.Is(err, ErrFull) {
		for i := range results {
			results[i] = Result{Err: err}
		}
		return true
	}
	return false
}

// publishSingly publishes the pending messages without batch and returns those
// whose outcome is not known yet.
func (c *Conn) publishSingly(ctx context.Context, msgs []*nats.Msg, pending []int, results []Result) []int {
	attempt, cancel := c.attempt(ctx)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, len(pending))
	for k, i := range pending {
		// The library's own retries would hide what happened; the caller's loop
		// does it for all messages alike.
		m := &nats.Msg{Subject: msgs[i].Subject, Header: msgs[i].Header, Data: msgs[i].Data}
		futures[k], results[i].Err = c.JS.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
	}
	var again []int
	for k, i := range pending {
		if futures[k] != nil {
			results[i] = settle(attempt, futures[k])
		}
		if results[i].Err == nil {
			continue
		}
		results[i].Err = classify(results[i].Err)
		if ctx.Err() == nil && transient(results[i].Err) {
			again = append(again, i)
		}
	}
	return again
}

// attempt bounds one attempt, which ends early when the connection is lost: no
// answer can come any more.
func (c *Conn) attempt(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, attemptWait)
	lost := c.NC.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	go func() {
		defer c.NC.RemoveStatusListener(lost)
		select {
		case <-lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func settle(ctx context.Context, future jetstream.PubAckFuture) Result {
	select {
	case ack := <-future.Ok():
		return Result{Sequence: ack.Sequence, Duplicate: ack.Duplicate}
	case err := <-future.Err():
		return Result{Err: err}
	case <-ctx.Done():
		return Result{Err: fmt.Errorf("no answer from the broker: %w", ctx.Err())}
	}
}

// The broker's error codes that say something final about a message.
const (
	errCodeStoreFailed jetstream.ErrorCode = 10077 // its text says which limit
	errCodeMsgTooLarge jetstream.ErrorCode = 10054
	errCodeNoResources jetstream.ErrorCode = 10023
)

// classify gives the errors that a caller can act on their names.
func classify(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		switch api.ErrorCode {
		case errCodeStoreFailed:
			return storeFailure(api)
		case errCodeNoResources, errCodeStorageExceeded:
			return fmt.Errorf("%w: %w", ErrFull, err)
		case errCodeMsgTooLarge:
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: %w", ErrNoStream, err)
	}
	return err
}

// storeFailure reads which limit a message would break; a broker that is stopping
// answers with the same code.
func storeFailure(api *jetstream.APIError) error {
	switch {
	case strings.HasPrefix(api.Description, "maximum "):
		return fmt.Errorf("%w: %w", ErrFull, api)
	case strings.Contains(api.Description, "too large"):
		return fmt.Errorf("%w: %w", ErrTooLarge, api)
	}
	return api
}

// transient tells whether another attempt may succeed: everything but what the
// broker has said about the message itself.
func transient(err error) bool {
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, ErrTooLarge),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrPermissionViolation),
		errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return false
	}
	return true
}
