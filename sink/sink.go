// Package sink stores clean events in ClickHouse: EVENTS_CLEAN in, rows of the
// table sluice.events out.
//
// It owns that table, its migrations and its retention. It promises that every
// event is a row exactly once, whatever is killed, redelivered or published
// again, that a message is acknowledged only after its row is on disk, and that
// its memory stays bounded while ClickHouse is away. What ClickHouse will not
// take goes to the quarantine and never stops the rest.
//
// It refuses to look at what an event says: it does not redact, does not
// validate beyond the contract, and never logs a value of an event.
package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// name is what the service calls itself to the broker, in logs and in health.
const name = "sink"

// Run stores events until ctx ends, then stores what it has in hand and returns
// nil. It waits for a ClickHouse that is away, at the start as well as later,
// and migrates the table before the first row.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	err := run(ctx, cfg, log)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop before it had begun
	}
	return err
}

func run(ctx context.Context, cfg Config, log *slog.Logger) error {
	retention, err := cfg.retention()
	if err != nil {
		return err
	}
	stats := newMetrics(cfg.Telemetry.Registry)
	conn, err := broker.Connect(ctx, cfg.NATS, name, log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // the last acknowledgements go out after ctx has ended
	if err := conn.EnsureStreams(ctx, schemas.CleanStream(), schemas.QuarantineStream()); err != nil {
		return err
	}
	turn, err := openTurn(ctx, conn, log)
	if err != nil {
		return err
	}
	db, err := openClickHouse(ctx, cfg.ClickHouse, stats, log)
	if err != nil {
		return err
	}
	defer db.Close()
	cfg.Telemetry.Ready(name, func() error { return errors.Join(conn.Healthy(), db.healthy(), turn.healthy()) })

	r := &reign{
		cfg: cfg, conn: conn, turn: turn, db: db, stats: stats, log: log,
		mapper: newMapper(retention), seen: newFilter(cfg.IndexBytes),
	}
	if r.mapper.departures, err = newDepartures(stats); err != nil {
		return err
	}
	comparing, stop := context.WithCancel(ctx)
	defer stop()
	go r.mapper.departures.run(comparing)
	for ctx.Err() == nil {
		if err := turn.take(ctx); err != nil {
			break
		}
		switch err := r.run(ctx); {
		case err == nil, errors.Is(err, errTurnLost):
		case brokerAway(err):
			log.Warn("the broker is away; trying again", "error", err)
			_ = wait(ctx, retryFirst) // the loop sees the end of ctx
		default:
			return err
		}
	}
	return nil
}

// brokerAway tells a broker that does not answer from one that refuses.
func brokerAway(err error) bool {
	for _, away := range []error{
		nats.ErrNoResponders, nats.ErrTimeout, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
		jetstream.ErrJetStreamNotEnabled, context.DeadlineExceeded,
	} {
		if errors.Is(err, away) {
			return true
		}
	}
	return false
}

// migrateWhenReachable migrates, again while ClickHouse cannot be reached.
func migrateWhenReachable(ctx context.Context, server ClickHouse, log *slog.Logger) error {
	for delay := retryFirst; ; delay = min(2*delay, pingLast) {
		applied, err := Migrate(ctx, server)
		if err == nil {
			for _, m := range applied {
				log.Info("migrated the table", "migration", m)
			}
			return nil
		}
		if !passes(err) {
			return err
		}
		log.Warn("migrate; trying again", "error", err)
		if wait(ctx, delay) != nil {
			return fmt.Errorf("migrate: %w", ctx.Err())
		}
	}
}
