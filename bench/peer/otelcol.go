package peer

import (
	"context"
	_ "embed" // the configurations
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice/bench/proc"
	"sluice/bench/report"
)

// OTelDatabase is where the Collector's exporter makes its table.
const OTelDatabase = "otel"

// OTelCol is the OpenTelemetry Collector with its redactionprocessor and
// clickhouseexporter, and with a NATS receiver and exporter that are ours
// (bench/peers/otelcol): upstream has none.
type OTelCol struct {
	Bin string
	// Default leaves the Collector's settings and those of the broker at their
	// defaults: its queue in memory acknowledges before the effect.
	Default bool
}

var (
	//go:embed otelcol/redact.yaml
	otelRedact []byte
	//go:embed otelcol/redact-default.yaml
	otelRedactDefault []byte
	//go:embed otelcol/sink.yaml
	otelSink []byte
	//go:embed otelcol/sink-default.yaml
	otelSinkDefault []byte
)

// Name implements Peer.
func (o OTelCol) Name() string {
	if o.Default {
		return report.CollectorDefault
	}
	return report.Collector
}

// Guarantee implements Peer.
func (o OTelCol) Guarantee() string {
	if o.Default {
		return "acknowledged once it is in the Collector's queue in memory: a crash loses what is there; stored at least once"
	}
	return "acknowledged after the effect, fsynced by the broker; stored at least once, ClickHouse's table not fsynced"
}

// Sync implements Peer.
func (o OTelCol) Sync() string {
	if o.Default {
		return ""
	}
	return SyncAlways
}

// Table implements Peer.
func (OTelCol) Table() string { return OTelDatabase + ".otel_logs" }

func (o OTelCol) path() string { return filepath.Join(o.Bin, "peers", "otelcol") }

// Versions implements Peer.
func (o OTelCol) Versions(ctx context.Context) (map[string]string, error) {
	if _, err := os.Stat(o.path()); err != nil {
		return nil, errors.New("not built: run make bench-peers")
	}
	out, err := exec.CommandContext(ctx, o.path(), "components-versions").Output()
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, version, found := strings.Cut(strings.TrimSpace(line), " "); found {
			versions[name] = version
		}
	}
	return versions, nil
}

// Start implements Peer.
func (o OTelCol) Start(ctx context.Context, stage string, env Env) ([]*proc.Process, error) {
	config := map[string][]byte{report.StageRedact: otelRedact, report.StageSink: otelSink}
	if o.Default {
		config = map[string][]byte{report.StageRedact: otelRedactDefault, report.StageSink: otelSinkDefault}
	}
	text, found := config[stage]
	if !found {
		return nil, ErrNoStage
	}
	path := filepath.Join(env.Dir, "otelcol.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the Collector's configuration: %w", err)
	}
	p, err := proc.Start(ctx, proc.Spec{
		Name: "otelcol", Path: o.path(), Args: []string{"--config", path},
		Env: []string{"BENCH_NATS_URL=" + env.NATSURL, "BENCH_CLICKHOUSE_URL=" + env.ClickHouseURL},
	})
	if err != nil {
		return nil, err
	}
	return []*proc.Process{p}, nil
}
