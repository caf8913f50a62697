package standalone

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestLoad(t *testing.T) {
	cfg, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.ExternalNATS || cfg.ExternalClickHouse || cfg.NATSAddr != "127.0.0.1:4222" || cfg.Sink.BatchRows == 0 {
		t.Errorf("defaults: got %+v", cfg)
	}
	t.Setenv("NATS_URL", "nats://127.0.0.1:1")
	t.Setenv("CLICKHOUSE_URL", "http://127.0.0.1:2")
	t.Setenv("SINK_BATCH_ROWS", "77")
	if cfg, err = Load(); err != nil || !cfg.ExternalNATS || !cfg.ExternalClickHouse || cfg.Sink.BatchRows != 77 {
		t.Errorf("servers of its own: got %+v, %v", cfg, err)
	}
	for name, value := range map[string]string{"STANDALONE_DIR": "", "STANDALONE_NATS_ADDR": "4222", "STANDALONE_X": "1", "NOTIFIER_X": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := Load(); err == nil {
				t.Errorf("%s=%q: want an error", name, value)
			}
		})
	}
}

func TestHostPort(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]int{"127.0.0.1:4222": 4222, "127.0.0.1:0": server.RANDOM_PORT, "[::1]:7": 7} {
		if _, port, err := hostPort(addr); err != nil || port != want {
			t.Errorf("%s: got %d, %v", addr, port, err)
		}
	}
	for _, addr := range []string{"", "4222", "host:port"} {
		if _, _, err := hostPort(addr); err == nil {
			t.Errorf("%q: want an error", addr)
		}
	}
}

// A server that a file names is external too.
func TestLoadExternalFromFiles(t *testing.T) {
	for name, text := range map[string]string{"NATS_URL_FILE": "nats://127.0.0.1:1", "CLICKHOUSE_URL_FILE": "http://127.0.0.1:2"} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, file)
	}
	cfg, err := Load()
	if err != nil || !cfg.ExternalNATS || !cfg.ExternalClickHouse || cfg.Sink.ClickHouseURL != "http://127.0.0.1:2" || cfg.Redactor.URL != "nats://127.0.0.1:1" {
		t.Errorf("got %t, %t, %v", cfg.ExternalNATS, cfg.ExternalClickHouse, err)
	}
}
