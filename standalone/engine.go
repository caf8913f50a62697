package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"sluice/standalone/clickhouse"
)

// engine keeps the embedded ClickHouse running. supervise owns the process once
// it runs; stop may be called after supervise has returned.
type engine struct {
	cfg     clickhouse.Config
	process *clickhouse.Process
	url     string
}

func startEngine(ctx context.Context, cfg Config, log *slog.Logger) (*engine, error) {
	if err := checkFree(ctx, cfg.ClickHouseAddr, "STANDALONE_CLICKHOUSE_ADDR"); err != nil {
		return nil, err
	}
	e := &engine{cfg: clickhouse.Config{
		Addr: cfg.ClickHouseAddr, Dir: filepath.Join(cfg.Dir, "clickhouse"), Log: log,
	}}
	process, err := clickhouse.Start(ctx, e.cfg)
	if err != nil {
		return nil, fmt.Errorf("start ClickHouse: %w", err)
	}
	e.process, e.url = process, process.URL()
	// A restart must come back at the same address, also if any was asked for.
	e.cfg.Addr = process.Addr()
	return e, nil
}

// The delays between restarts of an engine that died: at once at first, since the
// sink waits for it.
const (
	restartFirst = 200 * time.Millisecond
	restartLast  = 10 * time.Second
	// restartCalm is how long it must have run for the delays to begin anew.
	restartCalm = time.Minute
)

// supervise starts the engine again whenever it dies, until ctx ends. Meanwhile
// the sink waits and the streams fill; nothing is lost.
func (e *engine) supervise(ctx context.Context, log *slog.Logger) error {
	delay := restartFirst
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			return nil
		case <-e.process.Done():
		}
		if time.Since(began) > restartCalm {
			delay = restartFirst
		}
		log.Error("engine ended; starting it again", "error", e.process.Err(), "delay", delay)
		for started := false; !started; delay = min(2*delay, restartLast) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(delay):
			}
			started = e.restart(ctx, log)
		}
	}
}

func (e *engine) restart(ctx context.Context, log *slog.Logger) bool {
	process, err := clickhouse.Start(ctx, e.cfg)
	if err != nil {
		log.Error("start engine; trying again", "error", err)
		return false
	}
	e.process = process
	log.Info("engine runs again", "url", e.url)
	return true
}

// engineStopWait is how long the engine may take to finish its merges and close.
const engineStopWait = 20 * time.Second

func (e *engine) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), engineStopWait)
	defer cancel()
	if err := e.process.Stop(ctx); err != nil {
		return fmt.Errorf("stop ClickHouse: %w", err)
	}
	return nil
}
