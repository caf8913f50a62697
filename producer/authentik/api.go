package authentik

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sluice/producer"
	"sluice/producer/intake"
)

// APIConfig says which events to fetch.
type APIConfig struct {
	Tenant string
	Client *Client
	// Since and Until bound created: from Since on, before Until; zero is unbounded.
	Since, Until time.Time
	// Follow asks again, Every, once there is no more.
	Follow bool
	Every  time.Duration
	// Timeout is how long to go on asking an API that does not answer; 0 is for ever.
	Timeout time.Duration
	Report  io.Writer
}

// Mark is up to where the events of one API have been fetched.
type Mark struct {
	// Created is when the last event happened.
	Created time.Time `json:"created"`
	// Index is how many events there were before it, oldest first: a hint, since
	// authentik forgets the oldest.
	Index int `json:"index"`
}

// overlap is how much of what was fetched before a later run asks for again. An
// event becomes visible when the transaction that holds it ends, so it can appear
// behind younger ones. The ids make the repetition harmless.
const overlap = 2 * time.Minute

// API fetches the events of authentik's API, oldest first, from the book's mark on.
//
// The API has pages by number and nothing to go on from, and while they are read
// authentik deletes the oldest events, so that what would be on the next page slips
// onto the one before. So each page that is asked for overlaps the one before it,
// and where it does not, an earlier one is fetched: no event is passed over.
func API(cfg APIConfig, book *Book) (intake.Reader, error) {
	encoder, err := producer.NewEncoder(cfg.Tenant)
	if err != nil {
		return nil, err
	}
	a := &api{cfg: cfg, encoder: encoder, key: cfg.Client.Origin() + " " + cfg.Tenant, maxPage: largestPage}
	a.mark, a.resuming = book.state.API[a.key]
	return a.read, nil
}

type api struct {
	cfg      APIConfig
	encoder  *producer.Encoder
	key      string
	mark     Mark
	resuming bool
	maxPage  int
	count    int // events so far, for reports
}

func (a *api) read(ctx context.Context, emit func(intake.Item) bool) error {
	from := a.cfg.Since
	if a.resuming && a.mark.Created.Add(-overlap).After(from) {
		from = a.mark.Created.Add(-overlap)
	}
	index, err := a.find(ctx, from)
	if err != nil {
		return quiet(ctx, err)
	}
	for {
		more, err := a.walk(ctx, index, from, emit)
		if err != nil || !more || !a.cfg.Follow {
			return quiet(ctx, err)
		}
		if !wait(ctx, a.cfg.Every) {
			return nil
		}
		// Deletions may have moved it; walk looks for itself from here on.
		if !a.mark.Created.IsZero() && a.mark.Created.Add(-overlap).After(from) {
			from = a.mark.Created.Add(-overlap)
		}
		if index, err = a.find(ctx, from); err != nil {
			return quiet(ctx, err)
		}
	}
}

// quiet makes the end of ctx no error, which the caller knows of.
func quiet(ctx context.Context, err error) error {
	if err != nil && !errors.Is(err, errDone) && ctx.Err() == nil {
		return err
	}
	return nil
}

// find returns an index at or shortly before the first event that was created at
// from or later: backwards from the mark in growing steps, then by halving.
func (a *api) find(ctx context.Context, from time.Time) (int, error) {
	if from.IsZero() {
		return 0, nil
	}
	low, high := 0, -1
	step := 2 * a.maxPage
	for probe := a.mark.Index - a.maxPage; probe > 0; probe, step = probe-step, 2*step {
		before, _, err := a.isBefore(ctx, probe, from)
		if err != nil {
			return 0, err
		}
		if before {
			low = probe
			break
		}
		high = probe
	}
	if high < 0 && a.mark.Index > 0 {
		return low, nil
	}
	if high < 0 {
		_, count, err := a.isBefore(ctx, 0, from)
		if err != nil {
			return 0, err
		}
		high = count
	}
	for high-low > a.maxPage/2 {
		middle := (low + high) / 2
		before, _, err := a.isBefore(ctx, middle, from)
		switch {
		case err != nil:
			return 0, err
		case before:
			low = middle
		default:
			high = middle
		}
	}
	return low, nil
}

// isBefore tells whether there is an event at that index and it was created before
// from, and how many events there are.
func (a *api) isBefore(ctx context.Context, index int, from time.Time) (before bool, count int, err error) {
	got, err := a.fetch(ctx, window{page: index + 1, size: 1})
	if err != nil || len(got.events) == 0 {
		return false, got.count, err
	}
	return got.events[0].created.Before(from), got.count, nil
}

// walk emits the events from index on, those before from left out. more tells that
// it ended where the events do, not where what was asked for does.
func (a *api) walk(ctx context.Context, index int, from time.Time, emit func(intake.Item) bool) (more bool, err error) {
	last := from // when the youngest event emitted so far was created
	var lately recent
	for {
		at := windowOf(index, a.maxPage)
		got, err := a.fetch(ctx, at)
		if err != nil {
			return false, err
		}
		n := len(got.events)
		switch {
		case n == 0 && at.first() == 0:
			return true, nil
		case n < at.size && got.more && n > 0: // this authentik gives smaller pages
			if a.maxPage = n; n < smallestPage {
				return false, fmt.Errorf("authentik gives pages of %d events, and overlapping ones take %d: raise its largest page size", n, smallestPage)
			}
			continue
		case at.first() > 0 && (n == 0 || !last.IsZero() && got.events[0].created.After(last)):
			// What the page begins with has not been seen: there may be more before it.
			index = max(0, at.first()-a.maxPage/2)
			continue
		}
		for i, ev := range got.events {
			if ev.created.Before(from) || lately.has(ev.pk) {
				continue
			}
			if !a.cfg.Until.IsZero() && !ev.created.Before(a.cfg.Until) {
				return false, nil
			}
			if !ev.created.Before(last) {
				last = ev.created
				a.mark = Mark{Created: last, Index: at.first() + i}
			}
			if !a.emit(ev, emit) {
				return false, errDone
			}
			lately.add(ev.pk)
		}
		if index = at.first() + n; !got.more {
			return true, nil
		}
	}
}

// recentIDs is more than a page, and two minutes of most installations; 200 KB.
const recentIDs = 2000

// recent knows the ids of the last pages, so that what overlaps is not taken for
// new; what it has forgotten comes out as a duplicate.
type recent struct{ now, before map[string]bool }

func (r *recent) has(pk string) bool { return r.now[pk] || r.before[pk] }

func (r *recent) add(pk string) {
	if r.now == nil || len(r.now) >= recentIDs {
		r.now, r.before = map[string]bool{}, r.now
	}
	r.now[pk] = true
}

func (a *api) emit(ev listed, emit func(intake.Item) bool) bool {
	a.count++
	mark := a.mark
	it := intake.Item{Input: "event", Line: a.count, Bytes: int64(len(ev.json)), Position: position{key: a.key, mark: &mark}}
	it.Message, it.Refused = a.encoder.JSON(ev.json)
	return emit(it)
}

// largestPage is the largest page that authentik gives unless it is told otherwise.
const largestPage = 100

// smallestPage is that for which some size between half of it and itself has a page
// that overlaps, up to an index of 232 million: the least common multiple of 10 to 20.
const smallestPage = 20

// window is one page of a size.
type window struct{ page, size int }

func (w window) first() int { return (w.page - 1) * w.size }

// windowOf returns the page that holds the event before index and as many from
// index on as possible. The pages of one size meet at fixed places; there is a size
// between half the largest and the largest by which one begins just before index.
func windowOf(index, largest int) window {
	if index <= 0 {
		return window{1, largest}
	}
	best, gain := window{}, -1
	for size := largest; size > 0 && size >= largest/2; size-- {
		w := window{(index-1)/size + 1, size}
		if g := w.first() + size - index; g > gain {
			best, gain = w, g
		}
	}
	return best
}

// listed is one event of a page.
type listed struct {
	json    []byte
	pk      string
	created time.Time
}

type page struct {
	events []listed
	count  int  // events there are
	more   bool // pages follow
}

// fetch gets one page, patiently.
func (a *api) fetch(ctx context.Context, at window) (page, error) {
	began, told := time.Now(), false
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		got, err := a.cfg.Client.page(ctx, at)
		var later *retryError
		if !errors.As(err, &later) || ctx.Err() != nil {
			return got, err
		}
		if a.cfg.Timeout > 0 && time.Since(began) >= a.cfg.Timeout {
			return page{}, fmt.Errorf("%w; gave up after %s; run it again to fetch the rest", err, a.cfg.Timeout)
		}
		pause := max(later.after, delay)
		if !told || later.after > 0 {
			told = true
			fmt.Fprintf(a.cfg.Report, "%v; trying again\n", err)
		}
		if a.cfg.Timeout > 0 {
			pause = min(pause, max(a.cfg.Timeout-time.Since(began), retryFirst))
		}
		if !wait(ctx, pause) {
			return page{}, ctx.Err()
		}
	}
}

const (
	retryFirst = 500 * time.Millisecond
	retryLast  = 30 * time.Second
)

// wait reports whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// parsePage reads authentik's answer.
func parsePage(body []byte) (page, error) {
	var answer struct {
		Pagination struct {
			Count *int `json:"count"`
			Next  int  `json:"next"`
		} `json:"pagination"`
		Results []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Results == nil || answer.Pagination.Count == nil {
		return page{}, errors.New("the answer is no page of events of authentik's API")
	}
	got := page{count: *answer.Pagination.Count, more: answer.Pagination.Next > 0}
	for _, text := range answer.Results {
		var ev struct {
			PK      string    `json:"pk"`
			Created time.Time `json:"created"`
		}
		if json.Unmarshal(text, &ev) != nil || ev.Created.IsZero() || ev.PK == "" {
			return page{}, errors.New("an event of authentik's API has no valid pk or created")
		}
		got.events = append(got.events, listed{json: text, pk: ev.PK, created: ev.Created})
	}
	return got, nil
}
