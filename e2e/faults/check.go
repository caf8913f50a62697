package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// check looks at what is left once everything has come to rest.
func (r *runner) check(ctx context.Context) error {
	r.report.Events = int(r.ledger.count.Load())
	r.report.Retries = int(r.load.retries.Load())
	r.report.Injections = r.injected
	if err := r.w.ready(ctx, time.Minute); err != nil {
		r.report.failf("health", "%v", err)
	}
	for _, check := range []func(context.Context) error{r.checkRows, r.checkQuarantine, r.checkAlerts, r.checkTables, r.checkGrowth} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkRows compares the rows with what was acknowledged.
func (r *runner) checkRows(ctx context.Context) error {
	stored, err := r.rows(ctx)
	if err != nil {
		return fmt.Errorf("read the rows: %w", err)
	}
	d := r.ledger.compare(stored)
	r.report.Rows, r.report.LostOnPurpose = d.stored, d.lost
	if n := len(d.missing); n > 0 {
		r.report.failf("rows", "%d of %d acknowledged events are no rows, the first %s", n, d.acknowledged, d.missing[0])
	}
	if n := len(d.twice); n > 0 {
		r.report.failf("rows", "%d events are rows more than once, the first %s", n, d.twice[0])
	}
	if n := len(d.strange); n > 0 {
		r.report.failf("rows", "%d rows are of events that nobody was told are stored, the first %s", n, d.strange[0])
	}
	counted, err := r.w.ask(ctx, "SELECT count(), uniqExact(pk) FROM sluice.events")
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%d\t%d", len(stored)-len(d.twice), len(stored)-len(d.twice)); counted != want {
		r.report.failf("rows", "count() and uniqExact(pk) are %q, want %q", counted, want)
	}
	return nil
}

// rows are the pks of all rows.
func (r *runner) rows(ctx context.Context) ([]uuid.UUID, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.w.clickhouseAddr+"/",
		strings.NewReader("SELECT hex(pk) FROM sluice.events FORMAT TSV"))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, errors.Join(err, fmt.Errorf("HTTP %d", resp.StatusCode))
	}
	pks := make([]uuid.UUID, 0, len(body)/33)
	for line := range strings.Lines(string(body)) {
		pk, err := uuid.Parse(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		pks = append(pks, pk)
	}
	return pks, nil
}

// checkQuarantine finds every bad event there, once, and nothing else.
func (r *runner) checkQuarantine(ctx context.Context) error {
	times := map[int]int{}
	strange := 0
	_, err := r.each(ctx, schemas.StreamQuarantine, 1, true, func(m jetstream.Msg) {
		n, err := strconv.Atoi(m.Headers().Get(poisonHeader))
		if err != nil {
			strange++
			return
		}
		times[n]++
	})
	if err != nil {
		return err
	}
	r.report.Quarantined = len(times)
	missing, twice := 0, 0
	for n := range r.ledger.poison {
		switch times[n] {
		case 0:
			missing++
		case 1:
		default:
			twice++
		}
	}
	if missing > 0 {
		r.report.failf("quarantine", "%d of %d acknowledged bad events are not in the quarantine", missing, len(r.ledger.poison))
	}
	if twice > 0 {
		r.report.failf("quarantine", "%d bad events are there more than once", twice)
	}
	if strange > 0 {
		r.report.failf("quarantine", "%d good events are there", strange)
	}
	return nil
}

// each reads a stream from that sequence to its present end, and returns where the
// next one begins.
func (r *runner) each(ctx context.Context, name string, from uint64, headersOnly bool, read func(jetstream.Msg)) (uint64, error) {
	stream, err := r.w.js.Stream(ctx, name)
	if err != nil {
		return from, err
	}
	last := stream.CachedInfo().State.LastSeq
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		HeadersOnly: headersOnly, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute, MemoryStorage: true,
	})
	if err != nil {
		return from, err
	}
	defer func() { _ = stream.DeleteConsumer(ctx, consumer.CachedInfo().Name) }()
	for from <= last && stream.CachedInfo().State.Msgs > 0 {
		batch, err := consumer.Fetch(int(min(last+1-from, 1000)), jetstream.FetchMaxWait(20*time.Second))
		if err != nil {
			return from, fmt.Errorf("read %s: %w", name, err)
		}
		n := 0
		for m := range batch.Messages() {
			read(m)
			n++
			if meta, err := m.Metadata(); err == nil {
				from = meta.Sequence.Stream + 1
			}
		}
		if n == 0 {
			return from, fmt.Errorf("read %s: messages from %d on do not come: %w", name, from, batch.Error())
		}
	}
	return from, nil
}

// told is what the alerts about one probe say.
type told struct {
	firing int
	// counted is how many events the ends of the trouble speak of, ids which of
	// them were seen.
	counted int
	ids     map[string]bool
}

// checkAlerts finds for every probe that a rule demands an alert for that there is
// one, that its receiver has it, and that the counts add up.
func (r *runner) checkAlerts(ctx context.Context) error {
	probes, from := map[string]*told{}, uint64(1)
	var ids []string
	// The last troubles are over some seconds after their last event.
	wrong := until(ctx, 2*time.Minute, "every trouble is told to its end", func() error {
		next, err := r.each(ctx, schemas.StreamAlerts, from, false, func(m jetstream.Msg) {
			var alert schemas.Alert
			if json.Unmarshal(m.Data(), &alert) != nil {
				r.report.failf("alerts", "an alert is no JSON")
				return
			}
			r.report.Alerts++
			if m.Headers().Get(schemas.HeaderReceivers) != "" {
				ids = append(ids, alert.ID)
			}
			if name, found := strings.CutPrefix(alert.Data.Title, "probe "); found {
				probeTold(probes, name, &alert)
			}
		})
		from = next
		return errors.Join(err, r.compareProbes(probes))
	})
	if wrong != nil {
		r.report.failf("alerts", "%v", wrong)
	}
	if err := r.idle(ctx, idleMost); err != nil {
		r.report.failf("backlog", "%v", err)
	}
	undelivered := 0
	for _, id := range ids {
		if r.w.receiver.times(id) == 0 {
			undelivered++
		}
	}
	if undelivered > 0 {
		r.report.failf("alerts", "%d alerts did not reach their receiver", undelivered)
	}
	if r.w.receiver.leaks > 0 {
		r.report.failf("secrets", "%d alerts that were sent hold a planted secret", r.w.receiver.leaks)
	}
	return ctx.Err()
}

func probeTold(probes map[string]*told, name string, alert *schemas.Alert) {
	t := probes[name]
	if t == nil {
		t = &told{ids: map[string]bool{}}
		probes[name] = t
	}
	if t.ids[alert.ID] {
		return
	}
	t.ids[alert.ID] = true
	switch alert.Type {
	case schemas.AlertFiring:
		t.firing++
	case schemas.AlertResolved:
		t.counted += int(alert.Data.Count)
	}
}

// compareProbes compares what was told with what had to be. An event may count twice
// only where it came a second time under another sequence, or was read again.
func (r *runner) compareProbes(probes map[string]*told) error {
	silent, fewer, more := 0, 0, 0
	for name, events := range r.ledger.probes {
		t := probes[name]
		switch {
		case t == nil || t.firing == 0:
			silent++
		case t.counted < events:
			fewer++
		case t.counted > events:
			more++
		}
	}
	r.report.Probes = len(r.ledger.probes)
	if silent+fewer > 0 || more > 0 && !r.repeated() {
		return fmt.Errorf("of %d troubles %d were not told, %d with fewer events than there were, %d with more", len(r.ledger.probes), silent, fewer, more)
	}
	return nil
}

// repeated tells whether there was a fault that lets an event count twice: the
// notifier's consumer was made anew, or the window was made small.
func (r *runner) repeated() bool {
	return slices.ContainsFunc(r.injected, func(i *Injection) bool {
		return !i.Skipped && (i.Kind == "forget" || i.Kind == "late")
	})
}
