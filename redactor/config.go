package redactor

import (
	"errors"
	"os"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
)

// Config is what the redactor can be told, by environment variables.
type Config struct {
	broker.NATS
	daemon.Process
	Ruleset
	HTTPAddr string `envconfig:"HTTP_ADDR" default:"127.0.0.1:8081" desc:"where /livez, /readyz and /metrics are served; empty for nowhere"`
	// Reload asks for the rules to be read again, at each signal.
	Reload       <-chan os.Signal `ignored:"true"`
	DrainTimeout time.Duration    `envconfig:"REDACTOR_DRAIN_TIMEOUT" default:"10s" desc:"how long a stop may take to finish what is in work; what is not is handed back to the broker"`
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	err := c.NATS.Validate()
	if c.DrainTimeout <= 0 {
		err = errors.Join(err, errors.New("REDACTOR_DRAIN_TIMEOUT: must be more than 0"))
	}
	return err
}
