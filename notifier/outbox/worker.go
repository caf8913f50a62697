package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
	"sluice/redactor/redact"
	"sluice/schemas"
)

// worker delivers to one receiver, one alert at a time. Its goroutine owns all of
// it.
type worker struct {
	receiver receiver.Receiver
	sender   receiver.Sender
	engine   *redact.Engine
	store    *Store
	conn     *broker.Conn
	clock    clock
	ackWait  time.Duration
	limit    *rate.Limiter
	breaker  breaker
	metrics  *receiverMetrics
	// done is, for each stream, the last message that is through: should its
	// acknowledgement be lost, it is not sent again.
	done map[string]uint64
	log  *slog.Logger
}

var (
	errDisabled = errors.New("the receiver is disabled")
	// errStopped: the message went back, to be delivered again.
	errStopped = errors.New("stopped")
)

// startAgain is how soon to begin anew after the broker has failed.
const startAgain = time.Second

// run delivers until ctx ends. A receiver that was disabled is tried again now,
// since somebody has started the notifier.
func (w *worker) run(ctx context.Context) {
	if err := w.store.enable(ctx, w.receiver.Name); err != nil && ctx.Err() == nil {
		w.log.Warn("mark the receiver as enabled", "error", err)
	}
	for ctx.Err() == nil {
		err := w.store.waitEnabled(ctx, w.receiver.Name)
		if err == nil {
			w.metrics.state.Set(stateWorking)
			err = w.serve(ctx)
		}
		switch {
		case errors.Is(err, errDisabled):
			continue
		case err != nil && ctx.Err() == nil:
			w.log.Warn("deliver alerts; trying again", "error", err)
		}
		_ = sleep(ctx, wallClock{}, startAgain) // the loop sees the end of ctx
	}
}

// serve delivers what the two consumers have: alerts, and what a person has sent
// again.
func (w *worker) serve(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	alerts, consumer, err := w.subscribe(ctx, schemas.ReceiverConsumer(w.receiver.Name))
	if err != nil {
		return err
	}
	defer handBack(alerts, end)
	again, _, err := w.subscribe(ctx, schemas.ReplayConsumer(w.receiver.Name))
	if err != nil {
		return err
	}
	defer handBack(again, end)
	go w.count(ctx, consumer)
	for {
		var (
			d    broker.Delivery
			open bool
		)
		feed := alerts
		select {
		case d, open = <-alerts.C():
		case d, open = <-again.C():
			feed = again
		}
		if !open {
			return feed.Err()
		}
		if err := w.handle(ctx, d); err != nil {
			return err
		}
	}
}

// countEvery is how often the waiting alerts are counted.
const countEvery = 10 * time.Second

// count keeps the gauge of waiting alerts, also while one alert is tried for hours.
func (w *worker) count(ctx context.Context, consumer jetstream.Consumer) {
	for ctx.Err() == nil {
		if info, err := consumer.Info(ctx); err == nil { // else it stays as it was
			w.metrics.waiting.Set(float64(info.NumPending) + float64(info.NumAckPending))
		}
		_ = sleep(ctx, wallClock{}, countEvery) // the loop sees the end of ctx
	}
}

func (w *worker) subscribe(ctx context.Context, want schemas.Consumer) (*broker.Feed, jetstream.Consumer, error) {
	if w.ackWait == 0 {
		w.ackWait = want.AckWait
	}
	want.AckWait = w.ackWait
	ensure := w.conn.EnsureConsumer
	if want.Stream == schemas.StreamAlerts {
		ensure = w.ensureRecent
	}
	consumer, err := ensure(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	feed, err := w.conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: 1})
	return feed, consumer, err
}

// firstAge is how old an alert may be that a receiver gets which is new: some were
// told for it while it was being set up. It is not to get a month of old ones.
const firstAge = time.Hour

// ensureRecent makes the consumer exist. A new one begins at recent alerts; one
// that is there goes on where it was.
func (w *worker) ensureRecent(ctx context.Context, want schemas.Consumer) (jetstream.Consumer, error) {
	begin := time.Now().Add(-firstAge)
	cfg := jetstream.ConsumerConfig{
		Durable: want.Durable, Description: want.Description, FilterSubjects: want.FilterSubjects,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &begin, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: want.AckWait, MaxAckPending: want.MaxAckPending, MaxDeliver: -1,
	}
	have, err := w.conn.JS.Consumer(ctx, want.Stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		have, err = w.conn.JS.CreateConsumer(ctx, want.Stream, cfg)
		if errors.Is(err, jetstream.ErrConsumerExists) { // another notifier was faster
			have, err = w.conn.JS.Consumer(ctx, want.Stream, want.Durable)
		}
	}
	if err == nil {
		old := have.CachedInfo().Config
		cfg.DeliverPolicy, cfg.OptStartTime, cfg.OptStartSeq = old.DeliverPolicy, old.OptStartTime, old.OptStartSeq
		have, err = w.conn.JS.UpdateConsumer(ctx, want.Stream, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("set up consumer %s on %s: %w", want.Durable, want.Stream, err)
	}
	return have, nil
}

// handBack ends a feed and gives back what it still has.
func handBack(feed *broker.Feed, end context.CancelFunc) {
	end()
	for d := range feed.C() {
		_ = d.Nak() // it comes again after the acknowledgement wait otherwise
	}
}

// handle brings one message to its end: delivered, not for this receiver, or
// kept. On an error it went back.
func (w *worker) handle(ctx context.Context, d broker.Delivery) error {
	replayed := d.Stream == schemas.StreamOutbox
	if !replayed && !w.isFor(d) {
		_ = d.Ack() // should it be lost, the alert comes again and is still for others
		return nil
	}
	if d.Deliveries > 1 && w.done[d.Stream] == d.Sequence {
		w.acknowledge(ctx, d)
		return nil
	}
	stop := stayInProgress(ctx, d, w.ackWait/3)
	defer stop()
	crashpoint("taken")
	notice, err := receiver.NewNotice(w.engine, d.Data(), d.Headers().Get(schemas.HeaderTraceParent))
	switch {
	case err != nil:
		err = w.keep(ctx, d, receiver.Notice{}, err.Error(), 0)
		w.metrics.unreadable.Inc()
	case w.receiver.Wants(notice.Alert.Type):
		err = w.deliver(ctx, d, notice)
	}
	if err != nil {
		stop()
		_ = d.Nak() // it comes again after the acknowledgement wait otherwise
		return err
	}
	w.done[d.Stream] = d.Sequence
	stop()
	w.acknowledge(ctx, d)
	crashpoint("acknowledged")
	if replayed {
		w.store.forget(ctx, d.Sequence)
		crashpoint("forgotten")
	}
	return nil
}

// crashpoint does nothing; a test kills its process there.
var crashpoint = func(string) {}

// isFor tells whether the alert names the receiver.
func (w *worker) isFor(d broker.Delivery) bool {
	header := d.Headers().Get(schemas.HeaderReceivers)
	if header == "" {
		return false
	}
	var names []string
	if err := json.Unmarshal([]byte(header), &names); err != nil {
		w.log.Warn("an alert's list of receivers is no JSON array of names; it is not delivered", "header", schemas.HeaderReceivers, "seq", d.Sequence)
	}
	return slices.Contains(names, w.receiver.Name)
}

// acknowledge waits for the broker's answer. Without it the message comes again,
// and is known.
func (w *worker) acknowledge(ctx context.Context, d broker.Delivery) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerWait)
	defer cancel()
	if err := d.DoubleAck(ctx); err != nil {
		w.log.Warn("acknowledge; it will be redelivered", "stream", d.Stream, "seq", d.Sequence, "error", err)
	}
}

// brokerWait is how long the broker may take to answer.
const brokerWait = 5 * time.Second

// stayInProgress keeps the broker from giving the message to another notifier
// while this one works on it. The end of work is told at once.
func stayInProgress(ctx context.Context, d broker.Delivery, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = d.InProgress() // a broker that is away redelivers it
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
