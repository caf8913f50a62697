package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// reign is the time for which this sink has the turn to store.
type reign struct {
	cfg    Config
	conn   *broker.Conn
	turn   *turn
	db     *clickHouse
	mapper *mapper
	seen   *filter
	stats  *metrics
	log    *slog.Logger
}

// run stores events until ctx ends, then what is in hand, and passes the turn on.
// It returns errTurnLost when another sink has taken over. A broker that was away
// ends no turn: the sink goes on where it was.
func (r *reign) run(ctx context.Context) error {
	consumer, created, err := r.prepare(ctx)
	if err != nil {
		// Nothing is at work yet, so the next one need not find out that this one
		// is gone.
		return errors.Join(err, r.pass(ctx))
	}
	r.stats.active.Set(1)
	defer r.stats.active.Set(0)

	reading, stopReading := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stopReading()
	rows, err := r.db.countRows(ctx)
	if err != nil {
		r.log.Warn("count the rows; all events are looked up until they are read", "error", err)
	}
	read := func(rows int) {
		r.seen.restart(rows)
		readers.Go(func() { r.readTable(reading) })
	}
	read(rows)

	st := &storer{table: r.db, seen: r.seen, stats: r.stats, log: r.log, sharded: r.db.place.clustered()}
	s := newSink(r.cfg, r.mapper, st, r.turn, &quarantine{conn: r.conn, log: r.log})
	s.stream, s.refill = created, func() { read(r.seen.size()) }
	after, unsettled := r.position(consumer.CachedInfo(), created)
	s.done.Store(after)
	s.resumed = unsettled
	r.turn.ready.Store(true)
	r.log.Info("storing", "clickhouse", r.db.address, "stream", schemas.StreamClean,
		"after_seq", after, "resumes_plan", s.resumed != nil)
	return r.store(ctx, s, consumer)
}

// prepare makes the table and the consumer what they should be, and returns when
// the stream was made.
func (r *reign) prepare(ctx context.Context) (jetstream.Consumer, time.Time, error) {
	if err := migrateWhenReachable(ctx, r.cfg.ClickHouse, r.log); err != nil {
		return nil, time.Time{}, err
	}
	consumer, err := r.conn.EnsureConsumer(ctx, schemas.SinkConsumer())
	if err != nil {
		return nil, time.Time{}, err
	}
	stream, err := r.conn.JS.Stream(ctx, schemas.StreamClean)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("look at stream %s: %w", schemas.StreamClean, err)
	}
	return consumer, stream.CachedInfo().Created, nil
}

// store feeds the loop, again after each interruption.
func (r *reign) store(ctx context.Context, s *sink, consumer jetstream.Consumer) error {
	for {
		err := r.feed(ctx, s, consumer)
		switch {
		case errors.Is(err, errUnsettled):
			return nil // the plan stands, and this sink's name under it
		case errors.Is(err, errTurnLost):
			r.log.Warn("another sink stores now; waiting", "error", err)
			return err
		case err == nil && ctx.Err() != nil:
			return r.pass(ctx)
		case err != nil && !errors.Is(err, broker.ErrInterrupted) && !passing(err):
			return err
		case err != nil:
			r.log.Warn("reading the stream again from what is stored", "after_seq", s.done.Load(), "error", err)
		}
		if wait(ctx, retryFirst) != nil {
			return r.pass(ctx)
		}
	}
}

// passing tells a broker that is away from one that has lost the stream.
func passing(err error) bool {
	var api *jetstream.APIError
	return !errors.As(err, &api) && !errors.Is(err, jetstream.ErrConsumerDeleted)
}

// feed reads from what is settled on, and stores until the feed ends.
func (r *reign) feed(ctx context.Context, s *sink, consumer jetstream.Consumer) error {
	if err := r.conn.ResetTo(ctx, schemas.StreamClean, schemas.ConsumerSink, s.done.Load()+1); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	feed, err := r.conn.Subscribe(reading, consumer, r.cfg.buffer())
	if err != nil {
		return err
	}
	var deaf atomic.Bool
	go watchLag(reading, consumer, s, func() { deaf.Store(true); stop() })
	switch err := s.loop(ctx, feed.C()); {
	case err != nil:
		return err
	case deaf.Load():
		return errDeaf
	}
	return feed.Err()
}

// errDeaf: the broker does not take the acknowledgements, as after a late one of a sink
// that had the turn before and numbered its deliveries higher. A reset mends it.
var errDeaf = errors.New("the broker does not take acknowledgements")

// position is the last sequence that is settled, and the plan of which that is not known.
//
// What the consumer's floor covers is settled. A plan beyond it was written down
// after everything before it was settled, so the next to settle is the plan.
func (r *reign) position(info *jetstream.ConsumerInfo, created time.Time) (uint64, *plan) {
	floor, p := info.AckFloor.Stream, r.turn.record.Plan
	if p == nil || !p.Stream.Equal(created) || p.Last <= floor {
		return floor, nil
	}
	return p.First - 1, p
}

// pass gives the turn to another sink, which need not wait then.
func (r *reign) pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnWait)
	defer cancel()
	if err := r.turn.pass(ctx); err != nil && !errors.Is(err, errTurnLost) {
		r.log.Warn("pass the turn to store on; another sink takes it in a moment", "error", err)
	}
	return nil
}

// readTable reads the pks of all rows into the filter. Until that is done every
// event is looked up.
func (r *reign) readTable(ctx context.Context) {
	start := time.Now()
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		rows := 0
		err := r.db.readPKs(ctx, func(pks []uuid.UUID) { rows += len(pks); r.seen.add(pks) })
		if err == nil {
			r.seen.finish()
			r.log.Debug("read which events are stored", "rows", rows, "after", time.Since(start).Round(time.Millisecond))
			return
		}
		if wait(ctx, delay) != nil {
			return
		}
		r.log.Debug("read which events are stored; trying again", "error", err)
	}
}

// lagEvery is how often the backlog is asked for: it is shown on a dashboard,
// and the question costs the broker a round trip.
const lagEvery = 5 * time.Second

// watchLag keeps the metric of the backlog, and calls deaf if the consumer is not as
// far as the sink was the last time.
func watchLag(ctx context.Context, consumer jetstream.Consumer, s *sink, deaf func()) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for acknowledged := uint64(0); ; acknowledged = s.done.Load() {
		info, err := consumer.Info(ctx)
		switch {
		case err != nil:
		case info.AckFloor.Stream < acknowledged:
			deaf()
		default:
			s.stats.lag.Set(float64(info.NumPending) + float64(info.NumAckPending))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
