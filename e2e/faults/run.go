package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/producer/generate"
	"sluice/schemas"
)

// runner is one run.
type runner struct {
	cfg    Config
	w      *world
	ledger *ledger
	load   *load
	report *Report

	// alone is held for reading by every fault and for writing by those that no
	// other may accompany; targets are held by whoever does something to one.
	alone   sync.RWMutex
	targets map[string]*sync.Mutex
	// together bounds how many faults there are at a time.
	together chan struct{}

	mu       sync.Mutex
	injected []*Injection
	moved    []moved
}

// moved is a clock that was wrong for a while, and by how much.
type moved struct {
	target string
	by     time.Duration
}

// togetherMost is how many faults there are at a time: two, so that they meet, and
// what becomes of the system is still to be understood.
const togetherMost = 2

// Run does one run and returns what it found. The error is that the run itself
// failed; what is wrong with the system is in Report.Failures.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	for _, path := range []*string{&cfg.Dir, &cfg.Bin, &cfg.ClockBin} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	allowCores()
	w, err := newWorld(cfg)
	if err != nil {
		return nil, err
	}
	r := &runner{
		cfg: cfg, w: w, ledger: newLedger(), report: newReport(cfg),
		targets: map[string]*sync.Mutex{}, together: make(chan struct{}, togetherMost),
	}
	r.load = newLoad(w, r.ledger)
	w.receiver.marker = generate.Marker(cfg.Seed)
	err = r.run(ctx)
	if closing := w.close(); closing != nil {
		r.report.failf("processes", "%v", closing)
	}
	r.report.Took = time.Since(r.report.Began)
	if err == nil {
		r.checkFiles()
	}
	if w.disk.real() {
		err = errors.Join(err, w.disk.close())
	}
	if err == nil && len(r.report.Failures) == 0 && !cfg.Keep {
		err = os.RemoveAll(cfg.Dir)
	}
	return r.report, err
}

func (r *runner) run(ctx context.Context) error {
	if err := r.w.start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if r.cfg.Unmerged {
		if _, err := r.w.ask(ctx, unmerged); err != nil {
			return fmt.Errorf("keep the parts of the table apart: %w", err)
		}
	}
	r.report.Began = time.Now()
	r.load.most.Store(aheadMost)
	publishing := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { publishing <- r.load.run(ctx, func(w workload) { r.entered(ctx, w) }) }()
	watching, stopWatching := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stopWatching()
	background.Go(func() { r.watch(watching) })

	if err := r.faults(ctx, publishing); err != nil {
		return err
	}
	r.report.Published = time.Since(r.report.Began)
	settling := time.Now()
	if err := r.idle(ctx, r.cfg.Settle); err != nil {
		r.report.failf("backlog", "%v", err)
	}
	r.report.Settled = time.Since(settling)
	stopWatching()
	background.Wait()
	return r.check(ctx)
}

// faults goes through the plan while events are published, and returns when both
// are over.
func (r *runner) faults(ctx context.Context, publishing <-chan error) error {
	var group sync.WaitGroup
	defer group.Wait()
	steps := Plan(r.cfg.Seed, r.cfg.Events, r.cfg.Faults, r.cfg.Only)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	measured := false
	for {
		r.load.most.Store(math.MaxInt64)
		if len(steps) > 0 {
			r.load.most.Store(int64(max(steps[0].At, min(steps[0].At+aheadMost, r.cfg.Events-2*r.cfg.Batch))))
		}
		select {
		case err := <-publishing:
			if err != nil || len(steps) == 0 {
				group.Wait()
				return err
			}
			return fmt.Errorf("the events are through, and %d faults of the plan are left", len(steps))
		case <-tick.C:
		}
		if r.cfg.Longest > 0 && time.Since(r.report.Began) > r.cfg.Longest {
			r.load.over.Store(true)
			steps = nil
		}
		if !measured && len(steps) > 0 && r.ledger.count.Load() >= int64(steps[0].At)*2/3 {
			measured = true
			r.report.Before = r.measure(ctx)
		}
		if len(steps) == 0 || r.ledger.count.Load() < int64(steps[0].At) {
			continue
		}
		step := steps[0]
		select {
		case r.together <- struct{}{}:
		default:
			continue // enough at a time
		}
		steps = steps[1:]
		group.Go(func() {
			defer func() { <-r.together }()
			r.do(ctx, step)
		})
	}
}

// aheadMost is how many events may be made beyond the next fault of the plan; what
// is on its way to the broker is less. The last events wait for the last fault.
const aheadMost = 2000

// unmerged has no part of the table merged, however small.
const unmerged = "ALTER TABLE sluice.events MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"

// do does one fault and notes what became of it.
func (r *runner) do(ctx context.Context, s Step) {
	unlock := r.lock(s)
	defer unlock()
	i := &Injection{Step: s, Began: time.Now(), Events: int(r.ledger.count.Load())}
	r.mu.Lock()
	r.injected = append(r.injected, i)
	r.mu.Unlock()
	note, err := r.inject(ctx, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	i.Ended, i.Note, i.rows = time.Now(), note, r.ledger.rows()
	switch {
	case errors.Is(err, errSkipped):
		i.Skipped = true
	case err != nil && ctx.Err() == nil:
		r.report.failf("fault", "%s: %v", s, err)
	}
	fmt.Fprintf(r.cfg.Progress, "%8d  %-60s %s\n", i.Events, s, note)
}

// lock waits until the fault may begin.
func (r *runner) lock(s Step) (unlock func()) {
	switch s.Kind {
	case "purge", "late", "table", "dying":
		r.alone.Lock()
		return r.alone.Unlock
	}
	r.alone.RLock()
	r.mu.Lock()
	target := r.targets[s.Target]
	if target == nil {
		target = &sync.Mutex{}
		r.targets[s.Target] = target
	}
	r.mu.Unlock()
	target.Lock()
	return func() {
		target.Unlock()
		r.alone.RUnlock()
	}
}

// entered begins what a workload is besides events.
func (r *runner) entered(ctx context.Context, kind workload) {
	fmt.Fprintf(r.cfg.Progress, "%8d  workload: %s\n", r.ledger.count.Load(), kind)
	r.report.Workloads[string(kind)]++
	switch kind {
	case steady, bursts, tenants, hot: // events alone
	case rolling:
		go func() {
			for _, name := range append([]string{"door"}, services...) {
				if ctx.Err() != nil {
					return
				}
				r.do(ctx, Step{At: int(r.ledger.count.Load()), Kind: "restart", Target: name})
			}
		}()
	case slow:
		for _, name := range []string{"sink-clickhouse", "notifier-receiver"} {
			go r.do(ctx, Step{At: int(r.ledger.count.Load()), Kind: "slow", Target: name, For: 5 * time.Second, Dice: 350})
		}
	}
}

// idle waits until nothing is left to do for anybody.
func (r *runner) idle(ctx context.Context, most time.Duration) error {
	return until(ctx, most, "the backlog is gone", func() error {
		raw, err := r.state(ctx, schemas.StreamRaw)
		if err != nil {
			return err
		}
		if raw.Msgs > 0 {
			return fmt.Errorf("%d messages in %s", raw.Msgs, schemas.StreamRaw)
		}
		for _, where := range [][2]string{
			{schemas.StreamClean, schemas.ConsumerSink},
			{schemas.StreamClean, schemas.ConsumerNotifier},
			{schemas.StreamAlerts, schemas.ReceiverConsumer("hook").Durable},
		} {
			consumer, err := r.w.js.Consumer(ctx, where[0], where[1])
			if err != nil {
				return err
			}
			info := consumer.CachedInfo()
			if n := info.NumPending + uint64(info.NumAckPending); n > 0 {
				return fmt.Errorf("%d messages before consumer %s", n, where[1])
			}
		}
		return nil
	})
}
