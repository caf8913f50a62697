package redactor

import (
	"runtime"
	"sync"
	"time"

	"sluice/internal/broker"
	"sluice/redactor/redact"
	"sluice/schemas"
)

// judged is a chunk of deliveries with what is to become of each.
type judged struct {
	chunk    []broker.Delivery
	verdicts []verdict
	// finished ends that the broker is told that the chunk is being worked on.
	finished func()
}

// judgeAhead judges what the feed delivers until it ends.
func (s *stage) judgeAhead(feed *broker.Feed, ahead chan<- judged) {
	defer close(ahead)
	var batches [2][]broker.Delivery // one to fill, and one that is being stored
	for turn := 0; ; turn = 1 - turn {
		batches[turn] = feed.Batch(batches[turn], broker.MaxBatchMsgs)
		batch := batches[turn]
		if len(batch) == 0 {
			return
		}
		s.metrics.batch.Observe(float64(len(batch)))
		for rest := batch; len(rest) > 0; {
			n := chunkLen(rest)
			chunk := rest[:n]
			finished := keepInWork(chunk, schemas.RedactorConsumer().AckWait/3)
			ahead <- judged{chunk, judgeAll(s.engines.current.Load(), chunk), finished}
			rest = rest[n:]
		}
	}
}

// chunkLen is how many of the deliveries, at least one, are redacted at once.
func chunkLen(batch []broker.Delivery) int {
	size := 0
	for i := range batch {
		if size += len(batch[i].Data()); size > chunkBytes && i > 0 {
			return i
		}
	}
	return len(batch)
}

// eventsPerWorker is from which number on another goroutine is worth its start:
// some 100 µs of work.
const eventsPerWorker = 32

// judgeAll judges the deliveries on all processors and keeps their order.
func judgeAll(engine *redact.Engine, chunk []broker.Delivery) []verdict {
	verdicts := make([]verdict, len(chunk))
	workers := max(1, min(runtime.GOMAXPROCS(0), len(chunk)/eventsPerWorker))
	var group sync.WaitGroup
	for w := range workers {
		from, to := len(chunk)*w/workers, len(chunk)*(w+1)/workers
		part := func() { judgePart(engine, chunk[from:to], verdicts[from:to]) }
		if w == workers-1 {
			part()
		} else {
			group.Go(part)
		}
	}
	group.Wait()
	return verdicts
}

// stampBytes is about what the fields that an event lacks take.
const stampBytes = 128

func judgePart(engine *redact.Engine, part []broker.Delivery, verdicts []verdict) {
	size := 0
	for i := range part {
		size += len(part[i].Data()) + stampBytes
	}
	arena := make([]byte, 0, size)
	for i := range part {
		verdicts[i], arena = judge(engine, arena, arrivalOf(&part[i]))
	}
}

// keepInWork tells the broker every so often that the chunk is being worked on,
// so that it is not given to another while its stream is full or away. What is
// acknowledged by then is not asked for again.
func keepInWork(chunk []broker.Delivery, every time.Duration) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				for i := range chunk {
					_ = chunk[i].InProgress() // acknowledged, or the broker is away: either way it is redelivered if need be
				}
			}
		}
	})
	return func() {
		close(done)
		group.Wait()
	}
}
