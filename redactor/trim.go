package redactor

import (
	"context"
	"log/slog"
	"time"

	"sluice/internal/broker"
	"sluice/schemas"
)

// trimEvery is how often EVENTS_CLEAN is looked at. At 50,000 events/s half of
// the stream's half that is left for a backlog fills in about a minute.
const trimEvery = 10 * time.Second

// trimmer removes from EVENTS_CLEAN what its readers have acknowledged and the
// replay window does not cover any more. It is the redactor's task since nobody
// else writes there, and a full stream stops it first. Any number of them may
// run.
type trimmer struct {
	conn    *broker.Conn
	metrics *metrics
	log     *slog.Logger
	wake    chan struct{}
	// failing is whether the last look failed, so that the log says it once.
	failing bool
}

func newTrimmer(conn *broker.Conn, metrics *metrics, log *slog.Logger) *trimmer {
	return &trimmer{conn: conn, metrics: metrics, log: log, wake: make(chan struct{}, 1)}
}

// now asks for a look at the stream without waiting for it.
func (t *trimmer) now() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *trimmer) run(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-t.wake:
		}
		removed, err := t.trim(ctx)
		switch {
		case err == nil:
			t.failing = false
		case !t.failing && ctx.Err() == nil:
			t.failing = true
			t.log.Warn("clean events past the replay window are not removed for now", "stream", schemas.StreamClean, "error", err)
		}
		if removed > 0 {
			t.metrics.trimmed.Add(float64(removed))
			t.log.Debug("removed clean events past the replay window", "stream", schemas.StreamClean, "msgs", removed)
		}
	}
}

// trim keeps at most half of the stream for replay: of one that an operator made
// smaller than the contract's, half of that.
func (t *trimmer) trim(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, trimEvery)
	defer cancel()
	stream, err := t.conn.JetStream(schemas.StreamClean).Stream(ctx, schemas.StreamClean)
	if err != nil {
		return 0, err
	}
	keep := uint64(schemas.CleanReplayBytes)
	if limit := stream.CachedInfo().Config.MaxBytes; limit > 0 {
		keep = min(keep, uint64(limit)/2)
	}
	return t.conn.Trim(ctx, broker.Replay{
		Stream: schemas.StreamClean, Required: []string{schemas.ConsumerSink}, Bytes: keep, Age: schemas.CleanReplayAge,
	})
}
