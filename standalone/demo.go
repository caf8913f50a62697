package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/producer"
	"sluice/producer/generate"
	"sluice/schemas"
)

// The demo is short enough to watch and long enough to hold every action: the
// generator's first 24 events are one of each.
const (
	demoEvents     = 300
	demoRate       = 60 // events a second
	demoShown      = 6  // events with a secret that are shown before and after
	demoSecretRate = 0.15
)

// demo publishes a sample and shows what becomes of it. It runs in one goroutine.
type demo struct {
	out    *screen
	conn   *broker.Conn
	rows   driver.Conn
	clean  chan *nats.Msg
	alerts chan *nats.Msg

	published []string // ids
	began     time.Time
	stored    bool
	shown     int
	waiting   map[string]excerpt // by id: shown as published, not yet as redacted
	alerted   int
}

func runDemo(ctx context.Context, cfg Config, at endpoints, conn *broker.Conn) error {
	server := cfg.Sink.ClickHouse
	server.ClickHouseURL = at.ClickHouse
	options, err := server.Options()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	rows, err := clickhouse.Open(options)
	if err != nil {
		return fmt.Errorf("demo: open ClickHouse: %w", err)
	}
	defer func() { _ = rows.Close() }()
	d := &demo{
		out: newScreen(cfg.Out), conn: conn, rows: rows, waiting: map[string]excerpt{},
		clean: make(chan *nats.Msg, 1024), alerts: make(chan *nats.Msg, 1024),
	}
	if err := d.run(ctx, at); err != nil && ctx.Err() == nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil // stopped in mid-show is no failure
}

func (d *demo) run(ctx context.Context, at endpoints) error {
	for subject, to := range map[string]chan *nats.Msg{
		schemas.CleanSubject(schemas.DefaultTenant, "*"): d.clean,
		schemas.AlertsPrefix + ".>":                      d.alerts,
	} {
		sub, err := d.conn.NC.ChanSubscribe(subject, to)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	d.out.opening(at, demoEvents)
	if err := d.publish(ctx); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	counts, err := d.counts(ctx)
	if err != nil {
		return err
	}
	d.out.table(counts)
	d.out.next(at)
	return nil
}

// publish sends the sample at its rate and shows what comes back meanwhile.
func (d *demo) publish(ctx context.Context) error {
	p, err := producer.New(d.conn.NC, producer.Config{})
	if err != nil {
		return err
	}
	defer p.Close()
	encoder, err := producer.NewEncoder(schemas.DefaultTenant)
	if err != nil {
		return err
	}
	d.began = time.Now()
	events := generate.New(generate.Config{
		Seed: uint64(d.began.UnixNano()), Start: d.began, Interval: time.Second / demoRate, SecretRate: demoSecretRate,
	})
	tick := time.NewTicker(time.Second / demoRate)
	defer tick.Stop()
	for len(d.published) < demoEvents {
		ev := events.Next()
		message, err := encoder.JSON(ev.JSON)
		if err != nil {
			return err
		}
		if ack := p.PublishMessages(ctx, []producer.Message{message})[0]; ack.Err != nil {
			return fmt.Errorf("publish: %w", ack.Err)
		}
		d.published = append(d.published, ev.PK)
		d.showPublished(ev)
		if err := d.listen(ctx, tick.C); err != nil {
			return err
		}
		if err := d.lookForFirstRow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// showPublished shows an event with a secret now and then, spread over the show.
func (d *demo) showPublished(ev generate.Event) {
	if len(ev.Secrets) == 0 || d.shown*demoEvents > len(d.published)*demoShown || d.shown == demoShown {
		return
	}
	if e, ok := excerptOf(ev); ok {
		d.shown++
		d.waiting[ev.PK] = e
		d.out.line("published", ev.Action, e.raw)
	}
}

// listen shows what arrives until the next tick.
func (d *demo) listen(ctx context.Context, tick <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
			return nil
		case msg := <-d.clean:
			d.showClean(msg)
		case msg := <-d.alerts:
			d.showAlert(msg)
		}
	}
}

func (d *demo) showClean(msg *nats.Msg) {
	id := msg.Header.Get(nats.MsgIdHdr)
	e, ok := d.waiting[id]
	if !ok {
		return
	}
	delete(d.waiting, id)
	_, action, err := schemas.ParseEventSubject(msg.Subject)
	if err != nil {
		return
	}
	d.out.line("redacted", action, e.of(msg.Data))
}

// demoAlerts is how many alerts are shown; the rest is counted.
const demoAlerts = 4

func (d *demo) showAlert(msg *nats.Msg) {
	if d.alerted++; d.alerted > demoAlerts {
		return
	}
	var alert schemas.Alert
	if json.Unmarshal(msg.Data, &alert) == nil {
		d.out.line("ALERT", alert.Data.Action, fmt.Sprintf("%s, severity %s", alert.Data.Title, alert.Data.Severity))
	}
}

func (d *demo) lookForFirstRow(ctx context.Context) error {
	if d.stored {
		return nil
	}
	n, err := d.count(ctx, d.published[:1])
	if err == nil && n > 0 {
		d.stored = true
		d.out.line("stored", "", fmt.Sprintf("the first row is in ClickHouse %d ms after it was published", time.Since(d.began).Milliseconds()))
	}
	return err
}

// settleWait is how long the last events may take; with the default settings
// they take about a second.
const settleWait = time.Minute

var errSettle = errors.New("the events are not all in ClickHouse after a minute; the log says why")

// settle waits until every event is a row, showing what arrives.
func (d *demo) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWait, errSettle)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := d.count(ctx, d.published)
		if err == nil && n == uint64(len(d.published)) {
			d.out.summary(len(d.published), d.alerted)
			return nil
		}
		if err == nil {
			err = d.listen(ctx, tick.C)
		}
		if err != nil {
			if errors.Is(context.Cause(ctx), errSettle) {
				return errSettle
			}
			return err
		}
	}
}

func (d *demo) count(ctx context.Context, ids []string) (n uint64, err error) {
	if err := d.rows.QueryRow(ctx, "SELECT count() FROM sluice.events WHERE has($1, toString(pk))", ids).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the demo's rows: %w", err)
	}
	return n, nil
}

// actionCount is one line of the closing table.
type actionCount struct {
	Action string
	Count  uint64
	Masked uint64
}

func (d *demo) counts(ctx context.Context) (counts []actionCount, err error) {
	rows, err := d.rows.Query(ctx, demoQuery)
	if err != nil {
		return nil, fmt.Errorf("count by action: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c actionCount
		if err := rows.Scan(&c.Action, &c.Count, &c.Masked); err != nil {
			return nil, fmt.Errorf("count by action: %w", err)
		}
		counts = append(counts, c)
	}
	return counts, rows.Err()
}

const demoQuery = "SELECT action, count() AS events, countIf(notEmpty(redacted)) AS masked FROM sluice.events GROUP BY action ORDER BY events DESC, action"

// awaitReady returns when every service is ready, or ctx ends.
func awaitReady(ctx context.Context, tel *daemon.Telemetry) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for tel.Unready() != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
