package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"sluice/bench/events"
	"sluice/bench/peer"
	"sluice/bench/proc"
	"sluice/bench/report"
	"sluice/schemas"
)

// startServices starts all of Sluice and waits until the sink has made its table.
func (r *rig) startServices(ctx context.Context) error {
	for _, name := range []string{"redactor", "sink", "notifier"} {
		p, err := proc.Start(ctx, peer.ServiceSpec(r.env, name))
		if err != nil {
			return err
		}
		r.owned = append(r.owned, p)
	}
	return r.until(ctx, "the services are there", time.Minute, func() (bool, error) {
		for consumer, stream := range map[string]string{
			schemas.ConsumerRedactor: schemas.StreamRaw,
			schemas.ConsumerSink:     schemas.StreamClean,
			schemas.ConsumerNotifier: schemas.StreamClean,
		} {
			if _, err := r.conn.JS.Consumer(ctx, stream, consumer); err != nil {
				return false, nil //nolint:nilerr // not yet
			}
		}
		var n uint64
		err := r.db.QueryRow(ctx, "SELECT count() FROM sluice.events").Scan(&n)
		return err == nil, nil
	})
}

// until polls until something holds, while the services run.
func (r *rig) until(ctx context.Context, what string, most time.Duration, ok func() (bool, error)) error {
	const every = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		if err := failed(r.owned); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		}
	}
}

// sustained runs everything at full load for a while: events go to producer publish as
// fast as it takes them, as long as no more than the backlog are under way.
func (h *Harness) sustained(ctx context.Context) (err error) {
	pool, err := h.pool(h.standard(), false)
	if err != nil {
		return err
	}
	r, err := h.newRig(ctx, peer.SyncAlways, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.startServices(ctx); err != nil {
		return err
	}
	out, in := io.Pipe()
	var said strings.Builder
	spec := peer.ServiceSpec(r.env, "producer")
	spec.Args, spec.Stdin, spec.Stdout = []string{"publish"}, out, &said
	publisher, err := proc.Start(ctx, spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, publisher.Stop()) }()
	go func() { // one that fails reads no more
		<-publisher.Done()
		_ = out.Close()
	}()
	s, err := h.runSustained(ctx, r, publisher, pool, in)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	h.out.Sustained = s
	want := fmt.Sprintf("published %d, duplicate 0, refused 0", s.Published)
	if err := publisher.Wait(ctx); err != nil || !strings.Contains(said.String(), want) {
		return errors.Join(err, fmt.Errorf("the producer printed %q, want %q", said.String(), want))
	}
	if s.Rows != s.Published || s.Different != s.Published {
		return fmt.Errorf("published %d events, but there are %d rows of %d events", s.Published, s.Rows, s.Different)
	}
	return nil
}

// throttle lets a writer go on while what is stored is not too far behind.
type throttle struct {
	backlog int
	stored  atomic.Int64
}

// write writes events until the time is over and returns how many.
func (t *throttle) write(ctx context.Context, to io.Writer, pool *events.Pool, until time.Time) (n int, err error) {
	const atOnce, pause = 1000, 5 * time.Millisecond
	for time.Now().Before(until) {
		if n+atOnce > int(t.stored.Load())+t.backlog {
			if err := sleep(ctx, pause); err != nil {
				return n, err
			}
			continue
		}
		if err := pool.WriteLines(to, atOnce); err != nil {
			return n, fmt.Errorf("write to the producer: %w", err)
		}
		n += atOnce
	}
	return n, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Harness) runSustained(ctx context.Context, r *rig, publisher *proc.Process, pool *events.Pool, in io.WriteCloser,
) (*report.Sustained, error) {
	all := append(append([]*proc.Process{publisher}, r.owned...), r.servers()...)
	before, err := usage(all)
	if err != nil {
		return nil, err
	}
	t := throttle{backlog: h.cfg.Backlog}
	start := time.Now()
	type end struct {
		n   int
		err error
	}
	written := make(chan end, 1)
	go func() {
		n, err := t.write(ctx, in, pool, start.Add(h.cfg.Sustained))
		written <- end{n, errors.Join(err, in.Close())}
	}()
	s := &report.Sustained{Published: -1}
	count, lastSecond := r.rows("sluice.events"), 0
	err = r.until(ctx, "all is stored", h.cfg.Sustained+3*time.Minute, func() (bool, error) {
		n, err := count(ctx)
		t.stored.Store(int64(n))
		if len(s.PerSecond) < int(time.Since(start)/time.Second) {
			s.PerSecond, lastSecond = append(s.PerSecond, n-lastSecond), n
		}
		select {
		case e := <-written:
			s.Published, err = e.n, errors.Join(err, e.err)
		default:
		}
		return n == s.Published, err
	})
	if err != nil {
		return nil, err
	}
	s.Seconds = time.Since(start).Seconds()
	after, err := usage(all)
	if err != nil {
		return nil, err
	}
	s.Processes = used(all, mark{used: before}, mark{used: after})
	s.Bytes = int64(pool.MeanBytes()) * int64(s.Published)
	s.Rows, s.Different, err = r.distinct(ctx)
	h.log.Info("measured", "stage", "sustained", "events_per_second", int(s.Rate()), "rows", s.Rows, "different", s.Different)
	return s, err
}

// distinct counts the rows and the different events among them.
func (r *rig) distinct(ctx context.Context) (rows, different int, err error) {
	var n, u uint64
	if err := r.db.QueryRow(ctx, "SELECT count(), uniqExact(pk) FROM sluice.events").Scan(&n, &u); err != nil {
		return 0, 0, fmt.Errorf("count the rows: %w", err)
	}
	return int(n), int(u), nil
}
