package standalone

import (
	"errors"
	"fmt"
	"net"
	"os"

	"sluice/internal/daemon"
	"sluice/notifier"
	"sluice/redactor"
	"sluice/sink"
)

// Config are the settings of standalone and of the services it runs.
type Config struct {
	daemon.Process

	Dir            string `envconfig:"STANDALONE_DIR" default:"./data" desc:"folder for the streams and the table; made if missing, readable by its owner alone"`
	NATSAddr       string `envconfig:"STANDALONE_NATS_ADDR" default:"127.0.0.1:4222" desc:"address of the embedded broker"`
	ClickHouseAddr string `envconfig:"STANDALONE_CLICKHOUSE_ADDR" default:"127.0.0.1:8123" desc:"address of the embedded ClickHouse (HTTP interface)"`
	HTTPAddr       string `envconfig:"STANDALONE_HTTP_ADDR" default:"127.0.0.1:8080" desc:"address of /livez, /readyz and /metrics"`

	// Demo feeds a sample and shows what becomes of it on Out.
	Demo bool     `ignored:"true"`
	Out  *os.File `ignored:"true"`

	// ExternalNATS and ExternalClickHouse tell that NATS_URL or CLICKHOUSE_URL
	// names a server to use instead of the embedded one.
	ExternalNATS       bool `ignored:"true"`
	ExternalClickHouse bool `ignored:"true"`

	Redactor redactor.Config `ignored:"true"`
	Sink     sink.Config     `ignored:"true"`
	Notifier notifier.Config `ignored:"true"`
}

// Load reads the settings of all parts from the environment.
func Load() (Config, error) {
	cfg := Config{Out: os.Stdout}
	cfg.ExternalNATS = isSet("NATS_URL") || isSet("NATS_URL_FILE")
	cfg.ExternalClickHouse = isSet("CLICKHOUSE_URL") || isSet("CLICKHOUSE_URL_FILE")
	for prefix, settings := range map[string]any{
		"STANDALONE": &cfg, "REDACTOR": &cfg.Redactor, "SINK": &cfg.Sink, "NOTIFIER": &cfg.Notifier,
	} {
		if err := daemon.Load(prefix, settings); err != nil {
			return Config{}, err
		}
	}
	return cfg, nil
}

func isSet(name string) bool {
	_, set := os.LookupEnv(name)
	return set
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("STANDALONE_DIR: name a folder"))
	}
	for name, addr := range map[string]string{
		"STANDALONE_NATS_ADDR": c.NATSAddr, "STANDALONE_CLICKHOUSE_ADDR": c.ClickHouseAddr, "STANDALONE_HTTP_ADDR": c.HTTPAddr,
	} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
