package notifier

import (
	"errors"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
)

// Config is what the notifier can be told, by the environment variables in the
// tags.
type Config struct {
	broker.NATS
	daemon.Process
	// HTTPAddr is where the process serves health and metrics; Run does not.
	HTTPAddr string `envconfig:"HTTP_ADDR" default:"127.0.0.1:8083" desc:"where to serve /livez, /readyz and /metrics; empty serves nothing"`
	// GroupInterval is the least time between two alerts of one group. 5 minutes
	// is Alertmanager's group_interval.
	GroupInterval time.Duration `envconfig:"NOTIFIER_GROUP_INTERVAL" default:"5m" desc:"least time between two alerts about the same trouble; what comes in between is counted"`
	// File has the receivers.
	File string `envconfig:"NOTIFIER_CONFIG" desc:"file with the receivers of alerts, YAML (docs/receivers.md); empty for none"`
	// ResolveAfter is how long a group must be quiet to be resolved.
	ResolveAfter time.Duration `envconfig:"NOTIFIER_RESOLVE_AFTER" default:"24h" desc:"how long a trouble must be quiet to count as resolved"`
}

// minInterval keeps a mistyped interval from becoming an alert per event.
const minInterval = 100 * time.Millisecond

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	errs := []error{c.NATS.Validate()}
	if c.GroupInterval < minInterval {
		errs = append(errs, errors.New("NOTIFIER_GROUP_INTERVAL: at least 100ms"))
	}
	if c.ResolveAfter < c.GroupInterval {
		errs = append(errs, errors.New("NOTIFIER_RESOLVE_AFTER: at least NOTIFIER_GROUP_INTERVAL"))
	}
	return errors.Join(errs...)
}

func (c Config) timing() timing {
	return timing{interval: c.GroupInterval, resolveAfter: c.ResolveAfter}
}
