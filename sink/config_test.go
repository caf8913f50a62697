package sink

import (
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"sluice/internal/daemon"
)

func defaults(t *testing.T) Config {
	t.Helper()
	var cfg Config
	if err := daemon.Load("SINK", &cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestConfigReportsEverything(t *testing.T) {
	cfg := defaults(t)
	if err := cfg.Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	cfg.ClickHouseURL, cfg.Retention, cfg.RetentionByTenant = "ftp://x", "x", ""
	cfg.BatchRows, cfg.BatchBytes, cfg.BatchAge, cfg.DrainTimeout = 0, 0, 0, 0
	err := cfg.Validate()
	for _, want := range []string{"CLICKHOUSE_URL", "RETENTION", "SINK_BATCH_ROWS", "SINK_BATCH_BYTES", "SINK_BATCH_AGE", "SINK_DRAIN_TIMEOUT"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestDSN(t *testing.T) {
	for _, tc := range []struct {
		dsn         string
		protocol    clickhouse.Protocol
		tls         bool
		compression clickhouse.CompressionMethod
	}{
		{"http://127.0.0.1:8123", clickhouse.HTTP, false, clickhouse.CompressionLZ4},
		{"http://127.0.0.1:8123/sluice?compress=zstd", clickhouse.HTTP, false, clickhouse.CompressionZSTD},
		{"https://u:p@example.org:8443", clickhouse.HTTP, true, clickhouse.CompressionLZ4},
		{"clickhouse://u:p@example.org:9000/db?compress=none", clickhouse.Native, false, clickhouse.CompressionNone},
		{"clickhouse://u:p@example.org:9440?secure=true", clickhouse.Native, true, clickhouse.CompressionLZ4},
	} {
		opts, err := ClickHouse{ClickHouseURL: tc.dsn}.options()
		if err != nil {
			t.Errorf("%s: %v", tc.dsn, err)
			continue
		}
		if opts.Protocol != tc.protocol || (opts.TLS != nil) != tc.tls || opts.Compression.Method != tc.compression || opts.Auth.Database != "" {
			t.Errorf("%s: got %v, TLS %t, %v, database %q", tc.dsn, opts.Protocol, opts.TLS != nil, opts.Compression.Method, opts.Auth.Database)
		}
	}
}

func TestDSNErrorsHideThePassword(t *testing.T) {
	for _, dsn := range []string{
		"", "127.0.0.1:8123", "ftp://u:hunter2@x", "http://", "http://u:hunter2@x:99999999/%zz", "http://u:hunter2@x?dial_timeout=hunter2",
		"http://u:hunter2@x:y", "http://u:hun ter2@x", "http://x?password=hunter2&secure=maybe", "://hunter2",
	} {
		if _, err := (ClickHouse{ClickHouseURL: dsn}).options(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "CLICKHOUSE_URL") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}
