package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/producer"
	"sluice/producer/generate"
)

// load publishes until so many events are acknowledged. Whatever is refused or not
// answered is published again, as a producer does that must not lose anything.
type load struct {
	w      *world
	ledger *ledger
	source *source
	marker string

	// gate is held by whoever publishes; closing it waits for them.
	gate    sync.RWMutex
	library chan *batch
	piped   chan *batch
	door    chan *batch
	bad     chan int
	// most is how many events may be made for now: the plan's faults are by number of
	// events, and those that take long are waited for.
	most atomic.Int64
	// over ends it early.
	over atomic.Bool
	// retries counts attempts that failed.
	retries atomic.Int64

	mu sync.Mutex
	// samples are some of the batches that were acknowledged, with when.
	samples []sample
	phase   workload
}

type sample struct {
	at    time.Time
	batch *batch
}

const (
	// poisonEvery is one bad event each hundred.
	poisonEvery = 100
	// samplesMost bounds the memory of what is published again, sampleEvery is how
	// often a batch is kept for it.
	samplesMost = 400
	sampleEvery = 3
)

func newLoad(w *world, l *ledger) *load {
	return &load{
		w: w, ledger: l, source: newSource(w.cfg.Seed), marker: generate.Marker(w.cfg.Seed),
		library: make(chan *batch, 4), piped: make(chan *batch, 1), door: make(chan *batch, 1), bad: make(chan int, 100),
	}
}

// run publishes cfg.Events events.
func (l *load) run(ctx context.Context, entered func(workload)) error {
	var group sync.WaitGroup
	errs := make(chan error, 8)
	work := func(f func(context.Context) error) {
		group.Go(func() {
			if err := f(ctx); err != nil {
				errs <- err
			}
		})
	}
	work(l.publishByLibrary)
	work(l.publishByLibrary)
	work(l.publishByCommand)
	work(l.publishByDoor)
	work(l.publishPoison)
	l.feed(ctx, entered)
	close(l.library)
	close(l.piped)
	close(l.door)
	close(l.bad)
	group.Wait()
	close(errs)
	return errors.Join(<-errs, ctx.Err())
}

// feed makes events at the pace of the workload whose turn it is.
func (l *load) feed(ctx context.Context, entered func(workload)) {
	phaseEvents := max(2000, min(30_000, l.w.cfg.Events/len(workloads)))
	started, number, bad, current := time.Now(), 0, 0, -1
	for made := 0; made < l.w.cfg.Events && ctx.Err() == nil && !l.over.Load(); number++ {
		phase := made / phaseEvents
		kind := workloads[phase%len(workloads)]
		if phase != current {
			current = phase
			l.mu.Lock()
			l.phase = kind
			l.mu.Unlock()
			entered(kind)
		}
		for int64(made) > l.most.Load() && ctx.Err() == nil && !l.over.Load() {
			pause(ctx, 10*time.Millisecond)
		}
		to, tenant := l.route(kind, number)
		b := l.source.next(l.w.cfg.Batch, kind, phase, tenant)
		made += len(b.lines)
		select {
		case to <- b:
		case <-ctx.Done():
			return
		}
		for ; bad < made/poisonEvery; bad++ {
			select {
			case l.bad <- bad:
				made++ // it counts too
			case <-ctx.Done():
				return
			}
		}
		l.wait(ctx, kind, made, &started)
	}
}

// route decides who publishes a batch, and for whom.
func (l *load) route(kind workload, number int) (chan<- *batch, string) {
	switch {
	case number%10 == 3:
		return l.piped, pipedTenant
	case number%10 == 7:
		return l.door, doorTenant
	case kind == tenants:
		return l.library, fmt.Sprintf("tenant-%d", number%500)
	}
	return l.library, fmt.Sprintf("acme-%d", number%5)
}

// wait keeps to the rate. Bursts save up a few seconds' worth and let it go at once.
func (l *load) wait(ctx context.Context, kind workload, made int, started *time.Time) {
	if l.w.cfg.Rate == 0 {
		return
	}
	ahead := time.Until(started.Add(time.Duration(made) * time.Second / time.Duration(l.w.cfg.Rate)))
	switch {
	case ahead < -5*time.Second: // what an outage has cost is not made up for
		*started = started.Add(-ahead - 5*time.Second)
	case kind == bursts && ahead < 3*time.Second:
	case ahead > 0:
		pause(ctx, ahead)
	}
}

func (l *load) acknowledged(b *batch, number int) {
	l.ledger.acknowledge(b.pks, b.probes)
	if number%sampleEvery != 0 || len(b.probes) > 0 { // a probe that comes twice may count twice
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, sample{time.Now(), b})
	if len(l.samples) > samplesMost {
		l.samples = append(l.samples[:0:0], l.samples[samplesMost/2:]...)
	}
}

// sampleBefore returns a batch that was acknowledged before then, nil without any.
func (l *load) sampleBefore(then time.Time, dice uint64) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.samples) && l.samples[n].at.Before(then) {
		n++
	}
	if n == 0 {
		return nil
	}
	return l.samples[dice%uint64(n)].batch
}

func (l *load) connect() (*nats.Conn, error) {
	return nats.Connect("nats://"+l.w.links["producer-broker"].addr(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.Timeout(2*time.Second), nats.Name("faults-producer"),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
}

func (l *load) publishByLibrary(ctx context.Context) error {
	nc, err := l.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	p, err := producer.New(nc, producer.Config{})
	if err != nil {
		return err
	}
	defer p.Close()
	number := 0
	for b := range l.library {
		number++
		l.gate.RLock()
		err := l.publish(ctx, p, b)
		l.gate.RUnlock()
		if err != nil {
			return err
		}
		l.acknowledged(b, number)
	}
	return nil
}

// attempt is how long one attempt may take. It is not longer so that what was
// published before a fault is not only tried again long after.
const attempt = 15 * time.Second

// publish publishes until everything is acknowledged.
func (l *load) publish(ctx context.Context, p *producer.Producer, b *batch) error {
	encoder, err := producer.NewEncoder(b.tenant)
	if err != nil {
		return err
	}
	messages := make([]producer.Message, len(b.lines))
	for i, line := range b.lines {
		if messages[i], err = encoder.JSON(line); err != nil {
			return fmt.Errorf("event %d of a batch: %w", i, err)
		}
	}
	for len(messages) > 0 {
		trying, cancel := context.WithTimeout(ctx, attempt)
		acks := p.PublishMessages(trying, messages)
		cancel()
		var left []producer.Message
		for i, ack := range acks {
			if ack.Err != nil {
				left = append(left, messages[i])
			}
		}
		messages = left
		if len(left) > 0 {
			l.retries.Add(1)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			pause(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

// publishByCommand runs `producer publish` on a file, again until it succeeds.
func (l *load) publishByCommand(ctx context.Context) error {
	p := l.w.procs["publish"]
	file := l.w.pipedFile()
	number := 0
	for b := range l.piped {
		number++
		if err := os.WriteFile(file, append(bytes.Join(b.lines, []byte("\n")), '\n'), 0o600); err != nil {
			return err
		}
		l.gate.RLock()
		for p.once(ctx) != nil && ctx.Err() == nil {
			l.retries.Add(1)
			pause(ctx, 200*time.Millisecond)
		}
		l.gate.RUnlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.acknowledged(b, number)
	}
	return os.RemoveAll(file) // it holds planted secrets
}

// publishByDoor posts to `producer serve`, again until all is stored.
func (l *load) publishByDoor(ctx context.Context) error {
	number := 0
	for b := range l.door {
		number++
		body := bytes.Join(b.lines, []byte("\n"))
		l.gate.RLock()
		for l.post(ctx, body) != nil && ctx.Err() == nil {
			l.retries.Add(1)
			pause(ctx, 200*time.Millisecond)
		}
		l.gate.RUnlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.acknowledged(b, number)
	}
	return nil
}

func (l *load) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.w.doorAddr+"/v1/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+l.w.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the door answers %d", resp.StatusCode)
	}
	return nil
}

// poisonHeader numbers the bad events, whose pk nobody can read.
const poisonHeader = "Faults-Poison"

func (l *load) publishPoison(ctx context.Context) error {
	nc, err := l.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for n := range l.bad {
		subject, data := poison(n, l.marker)
		msg := nats.NewMsg(subject)
		msg.Data = data
		msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("poison-%d", n))
		msg.Header.Set(poisonHeader, strconv.Itoa(n))
		l.gate.RLock()
		for ctx.Err() == nil {
			trying, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := js.PublishMsg(trying, msg)
			cancel()
			if err == nil {
				break
			}
			l.retries.Add(1)
			pause(ctx, 100*time.Millisecond)
		}
		l.gate.RUnlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.ledger.poisoned(n)
	}
	return nil
}

// extra publishes events beside the load, past the links: those that a fault takes
// away, or repeats.
func (l *load) extra(ctx context.Context, b *batch) error {
	p, err := producer.New(l.w.nc, producer.Config{})
	if err != nil {
		return err
	}
	defer p.Close()
	return l.publish(ctx, p, b)
}

// victims are events to be taken away.
func (l *load) victims(n int, dice uint64) *batch {
	b := &batch{tenant: fmt.Sprintf("victim-%x", dice)}
	for i := range n {
		pk := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d %d", dice, i))
		b.add(fmt.Appendf(nil, `{"pk":%q,"action":"login","context":{"n":%d}}`, pk, i), pk)
	}
	return b
}
