package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// table is what storing needs of ClickHouse.
type table interface {
	// known returns which of the pks the table holds.
	known(ctx context.Context, entries []entry) (map[uuid.UUID]struct{}, error)
	// insert stores the rows as one block. A block whose token the table has seen
	// is not stored again.
	insert(ctx context.Context, entries []entry, token string) error
}

// storer stores rows exactly once.
//
// Every row is looked up before it is inserted, which catches whatever came
// before: redelivery, a producer that repeats itself days later, a redactor that
// publishes again, a sink that died between insert and acknowledgement.
//
// What the look-up cannot see is an insert whose answer got lost and that is
// still at work. Therefore a block is sent again under its first token, and
// ClickHouse drops the second one to arrive. A token is random and means one
// block of this process: derived from the rows it could name a block whose rows
// have expired since, and swallow the new ones.
//
// A ClickHouse that is killed between writing down a token and making the rows
// visible, or the other way round, has one without the other. Therefore, after
// any error, the rows are looked up before the block is sent again and once more
// after: what is there is not sent, what was swallowed gets a new token.
type storer struct {
	table table
	stats *metrics
	log   *slog.Logger
	// trouble is when ClickHouse began to fail, zero while it does not.
	trouble, saidAt time.Time
	attempts        int
}

// store stores the entries and returns those that ClickHouse refuses for their
// own sake. It does not give up before ctx ends; on error the caller knows
// nothing about the entries.
func (s *storer) store(ctx context.Context, entries []entry) ([]refusal, error) {
	missing, err := s.missing(ctx, entries)
	if err != nil {
		return nil, err
	}
	s.stats.duplicates.Add(float64(len(entries) - len(missing)))
	refused, err := s.insert(ctx, missing)
	if err != nil {
		return nil, err
	}
	s.recovered()
	return refused, nil
}

// insert stores entries that were not there when they were looked up. While in
// doubt, the token was sent before and nobody knows what came of it.
func (s *storer) insert(ctx context.Context, entries []entry) ([]refusal, error) {
	total, token, doubt := len(entries), uuid.NewString(), false
	for delay := retryFirst; len(entries) > 0; delay = min(2*delay, retryLast) {
		err := s.timedInsert(ctx, entries, token)
		switch {
		case err == nil && !doubt:
			entries = nil
			continue
		case err == nil:
			// Stored, or swallowed: the look-up below tells. What was swallowed
			// goes under another token, whose first answer can be believed.
			token, doubt = uuid.NewString(), false
		case refused(err):
			return s.bisect(ctx, entries, err)
		default:
			doubt = true
			if err := s.pause(ctx, "insert", err, delay); err != nil {
				return nil, err
			}
		}
		if entries, err = s.missing(ctx, entries); err != nil {
			return nil, err
		}
	}
	s.stats.stored.Add(float64(total))
	return nil, nil
}

// bisect finds the rows that ClickHouse refuses by halving. An error that
// refuses rows is an answer, so nothing of this block is still at work.
func (s *storer) bisect(ctx context.Context, entries []entry, cause error) ([]refusal, error) {
	if len(entries) == 1 {
		return []refusal{{from: entries[0].from, detail: cause.Error()}}, nil
	}
	var all []refusal
	half := len(entries) / 2
	for _, part := range [][]entry{entries[:half], entries[half:]} {
		// Parts of other partitions may have been stored before the refusal.
		missing, err := s.missing(ctx, part)
		if err != nil {
			return nil, err
		}
		s.stats.stored.Add(float64(len(part) - len(missing)))
		refused, err := s.insert(ctx, missing)
		if err != nil {
			return nil, err
		}
		all = append(all, refused...)
	}
	return all, nil
}

// missing looks the entries up and returns those that the table does not hold,
// in order.
func (s *storer) missing(ctx context.Context, entries []entry) ([]entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		start := time.Now()
		known, err := s.table.known(ctx, entries)
		s.stats.lookupSeconds.Observe(time.Since(start).Seconds())
		if err == nil {
			return without(entries, known), nil
		}
		if err := s.pause(ctx, "look up", err, delay); err != nil {
			return nil, err
		}
	}
}

// without returns the entries whose pk is not known, the same slice if that is
// all of them.
func without(entries []entry, known map[uuid.UUID]struct{}) []entry {
	if len(known) == 0 {
		return entries
	}
	left := make([]entry, 0, len(entries)-min(len(known), len(entries)))
	for i := range entries {
		if _, there := known[entries[i].pk]; !there {
			left = append(left, entries[i])
		}
	}
	return left
}

func (s *storer) timedInsert(ctx context.Context, entries []entry, token string) error {
	start := time.Now()
	err := s.table.insert(ctx, entries, token)
	s.stats.insertSeconds.Observe(time.Since(start).Seconds())
	return err
}

// The delays between attempts: short at first, since most trouble is a restart,
// and never so long that a ClickHouse which is back waits for us.
const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 10 * time.Second
	// troubleSaidEvery is how often trouble that goes on is logged.
	troubleSaidEvery = time.Minute
)

// pause waits before another attempt. It says so when trouble begins and once a
// minute from then on.
func (s *storer) pause(ctx context.Context, what string, err error, delay time.Duration) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	s.stats.retries.Inc()
	s.attempts++
	now := time.Now()
	if s.trouble.IsZero() {
		s.trouble = now
	}
	if s.saidAt.IsZero() || now.Sub(s.saidAt) >= troubleSaidEvery {
		s.saidAt = now
		s.log.Warn("clickhouse does not take events; they wait in the stream until it does",
			"while", what, "error", err, "since", s.trouble.UTC().Format(time.RFC3339), "attempts", s.attempts)
	}
	if err := wait(ctx, delay); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// recovered notes that ClickHouse answers again.
func (s *storer) recovered() {
	if s.trouble.IsZero() {
		return
	}
	s.log.Info("clickhouse answers again", "after", time.Since(s.trouble).Round(time.Millisecond), "attempts", s.attempts)
	s.trouble, s.saidAt, s.attempts = time.Time{}, time.Time{}, 0
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// refused tells whether ClickHouse will never take these rows.
func refused(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.refusal
}
