package redactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/redactor/redact"
	"sluice/schemas"
)

// headerStatus, on a message without content, marks the broker's own word to a
// client: nothing there, time is up, the consumer is gone.
const headerStatus = "Status"

const (
	// sweepEvery is how often the oldest raw event is looked at.
	sweepEvery = 5 * time.Second
	// sweepMsgs bounds how many are looked at in a thorough sweep: as many as can
	// be in work.
	sweepMsgs = 20_000
)

// sweeper quarantines raw messages that the client library takes for the
// broker's word: without content, with a header Status. They never reach the
// feed, or end it, and without the sweeper would stay in EVENTS_RAW for good.
//
// All that is acknowledged leaves EVENTS_RAW, so one that nobody acknowledges
// becomes its oldest message in time: looking at that is enough.
type sweeper struct {
	conn    *broker.Conn
	engine  *redact.Engine
	metrics *metrics
	log     *slog.Logger
	wake    chan struct{}
}

func newSweeper(conn *broker.Conn, engine *redact.Engine, metrics *metrics, log *slog.Logger) *sweeper {
	return &sweeper{conn: conn, engine: engine, metrics: metrics, log: log, wake: make(chan struct{}, 1)}
}

// now asks for a thorough sweep without waiting for it.
func (s *sweeper) now() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sweeper) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		thorough := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
			thorough = true
		}
		if err := s.sweep(ctx, thorough); err != nil && ctx.Err() == nil {
			s.log.Warn("look for messages that nobody can fetch", "stream", schemas.StreamRaw, "error", err)
		}
	}
}

// sweep quarantines such messages from the oldest on, up to the first other one;
// if it is thorough, all among the oldest sweepMsgs.
func (s *sweeper) sweep(ctx context.Context, thorough bool) error {
	stream, err := s.conn.JS.Stream(ctx, schemas.StreamRaw)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	for seq, n := state.FirstSeq, 0; seq <= state.LastSeq && n < sweepMsgs; n++ {
		a, err := s.next(ctx, seq)
		if errors.Is(err, errNoneLeft) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(a.data) == 0 && a.header.Get(headerStatus) != "" {
			if err := s.quarantine(ctx, stream, a); err != nil {
				return err
			}
		} else if !thorough {
			return nil
		}
		seq = a.sequence + 1
	}
	return nil
}

var errNoneLeft = errors.New("no message from there on")

// next reads the first raw message from seq on. It asks in the way in which the
// message comes inside the answer, and so cannot be taken for an answer itself.
func (s *sweeper) next(ctx context.Context, seq uint64) (arrival, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, seq)
	reply, err := s.conn.NC.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+schemas.StreamRaw, request)
	if err != nil {
		return arrival{}, fmt.Errorf("read message %d: %w", seq, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if json.Unmarshal(reply.Data, &answer) != nil { // its error may quote the message
		return arrival{}, fmt.Errorf("read message %d: the broker's answer is not JSON", seq)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return arrival{}, errNoneLeft
	case answer.Error != nil:
		return arrival{}, fmt.Errorf("read message %d: %w", seq, answer.Error)
	case answer.Message == nil:
		return arrival{}, fmt.Errorf("read message %d: the broker's answer is empty", seq)
	}
	m := answer.Message
	a := arrival{subject: m.Subject, data: m.Data, stream: schemas.StreamRaw, sequence: m.Seq, storedAt: m.Time}
	if len(m.Header) > 0 {
		if a.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			a.header = nil // as the client library reads it
		}
	}
	return a, nil
}

func (s *sweeper) quarantine(ctx context.Context, stream jetstream.Stream, a arrival) error {
	v, _ := judge(s.engine, nil, a)
	if v.reason == "" {
		return fmt.Errorf("message %d is no event and was not refused", a.sequence)
	}
	if result := s.conn.Publish(ctx, []*nats.Msg{quarantineMsg(a, &v)})[0]; result.Err != nil {
		return fmt.Errorf("quarantine message %d: %w", a.sequence, result.Err)
	}
	s.metrics.quarantined[v.reason].Inc()
	s.log.Warn("event quarantined that looks like the broker's own word", "stream", a.stream, "seq", a.sequence, "subject", a.subject, "reason", v.reason)
	return removeMsg(ctx, stream, a.sequence)
}
