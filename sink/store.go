package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
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

// storer stores the rows of one batch after the other, each row exactly once, as
// long as no other sink stores. docs/exactly-once.md has the argument.
//
// A block whose answer got lost may still be at work. Therefore it is sent again
// under its first token, and ClickHouse drops the second one to arrive. The token
// is the plan's, which is random, and the block's place in the stream: a sink that
// goes on with the plan of one that died sends the same rows under the same
// token. Derived from the rows it could name a block whose rows have expired
// since, and swallow the new ones.
//
// A ClickHouse that is killed between writing down a token and making the rows
// visible, or the other way round, has one without the other. Therefore, after
// any error, the rows are looked up before the block is sent again and once more
// after: what is there is not sent, what was swallowed gets a new token.
type storer struct {
	table table
	seen  *filter
	stats *metrics
	log   *slog.Logger
	// sharded tells that a block goes to several servers, each of which answers for its
	// own part.
	sharded bool
	// trouble is when ClickHouse began to fail, zero while it does not.
	trouble, saidAt time.Time
	attempts        int
}

// fresh returns the entries that the table does not hold. The filter vouches for
// most; the others are looked up.
func (s *storer) fresh(ctx context.Context, entries []entry) ([]entry, error) {
	some := s.seen.maybe(entries)
	s.stats.lookedUp.Add(float64(len(some)))
	if len(some) == 0 {
		return entries, nil
	}
	known, err := s.known(ctx, some)
	if err != nil {
		return nil, err
	}
	s.stats.duplicates.Add(float64(len(known)))
	return without(entries, known), nil
}

// span is a part of a planned batch: its messages from one sequence up to another.
// Its name is its token, so that everybody who stores this part of this plan uses
// the same.
type span struct {
	plan     string
	from, to uint64
	// before are tokens under which blocks with some of these rows may still be at
	// work. They are tried first, one after the other: whatever is stored under one of
	// them keeps out the block that is late.
	before []string
	// tried is how many of before turned out to be taken.
	tried int
	// swallowed counts how often the span's own token turned out to be taken without
	// rows.
	swallowed int
}

func (p span) token() string {
	if p.tried < len(p.before) {
		return p.before[p.tried]
	}
	return p.own()
}

func (p span) own() string {
	token := fmt.Sprintf("%s/%d-%d", p.plan, p.from, p.to)
	if p.swallowed > 0 {
		token = fmt.Sprintf("%s+%d", token, p.swallowed)
	}
	return token
}

// next is the span under its next token, and whether a block may be at work under
// that.
func (p span) next() (span, bool) {
	if p.tried < len(p.before) {
		p.tried++
		return p, p.tried < len(p.before)
	}
	p.swallowed++
	return p, false
}

// halves are the two parts of the span. In doubt, blocks of the whole may be at work
// under every token that it was sent under.
func (p span) halves(doubt bool) [2]span {
	middle := p.from + (p.to-p.from)/2
	var before []string
	if doubt {
		before = slices.Clone(p.before)
		if p.tried == len(p.before) {
			before = append(before, p.own())
		}
	}
	return [2]span{{plan: p.plan, from: p.from, to: middle, before: before}, {plan: p.plan, from: middle, to: p.to, before: before}}
}

// insert stores the entries that stand in the span, none of which was in the table when
// it was looked up last, and returns those that ClickHouse refuses for their own
// sake. While in doubt, the token was sent before and nobody knows what came of
// it. It does not give up before ctx ends; on error the caller knows nothing about
// the entries.
func (s *storer) insert(ctx context.Context, entries []entry, part span, doubt bool) ([]refusal, error) {
	total := len(entries)
	for delay := retryFirst; len(entries) > 0; delay = min(2*delay, retryLast) {
		err := s.timedInsert(ctx, entries, part.token())
		switch {
		case err == nil && !doubt:
			entries = nil
			continue
		case err == nil:
			// Stored, or swallowed: the look-up below tells. What was swallowed
			// goes under another token, whose first answer can be believed.
			part, doubt = part.next()
		case refused(err):
			// One shard's answer says nothing of what the others do with the block.
			return s.bisect(ctx, entries, part, doubt || s.sharded, err)
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

// bisect finds the rows that ClickHouse refuses by halving the span, wherever in
// it they stand. An error that refuses rows is an answer, so nothing of this block
// is still at work, unless it was sent before or went to several shards.
func (s *storer) bisect(ctx context.Context, entries []entry, part span, doubt bool, cause error) ([]refusal, error) {
	if len(entries) == 1 {
		return []refusal{{from: entries[0].from, detail: cause.Error()}}, nil
	}
	var all []refusal
	for _, half := range part.halves(doubt) {
		there := within(entries, half)
		// Parts of other partitions may have been stored before the refusal.
		missing, err := s.missing(ctx, there)
		if err != nil {
			return nil, err
		}
		s.stats.stored.Add(float64(len(there) - len(missing)))
		refused, err := s.insert(ctx, missing, half, doubt)
		if err != nil {
			return nil, err
		}
		all = append(all, refused...)
	}
	return all, nil
}

// within returns the entries that stand in the span; entries are in order.
func within(entries []entry, part span) []entry {
	first := sort.Search(len(entries), func(i int) bool { return entries[i].from.Sequence >= part.from })
	last := sort.Search(len(entries), func(i int) bool { return entries[i].from.Sequence >= part.to })
	return entries[first:last]
}

// missing looks the entries up and returns those that the table does not hold,
// in order.
func (s *storer) missing(ctx context.Context, entries []entry) ([]entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	known, err := s.known(ctx, entries)
	if err != nil {
		return nil, err
	}
	return without(entries, known), nil
}

// known looks the entries up and returns the pks that the table holds.
func (s *storer) known(ctx context.Context, entries []entry) (map[uuid.UUID]struct{}, error) {
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		start := time.Now()
		known, err := s.table.known(ctx, entries)
		s.stats.lookupSeconds.Observe(time.Since(start).Seconds())
		if err == nil {
			return known, nil
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
