package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Config says what a run is. The zero value is not usable: Bin and Events are needed.
type Config struct {
	// Seed decides the schedule and the events.
	Seed uint64
	// Events is how many are acknowledged before the run ends.
	Events int
	// Faults is how many of those events the plan spreads faults over.
	Faults int
	// Rate is how many events a second are published at most; 0 is as many as go.
	Rate int
	// Batch is how many events are published at once; 0 is 200.
	Batch int
	// Longest ends a run before its events are through, 0 never: what is left of the
	// plan is left out then.
	Longest time.Duration
	// Bin is the folder of the binaries.
	Bin string
	// Overrides are binaries to be used in place of those in Bin, by name.
	Overrides map[string]string
	// ClockBin is the folder of binaries whose clock can be set (see ClockOverlay);
	// empty leaves the clocks alone.
	ClockBin string
	// Dir is where everything is kept; it must not exist. It is removed after a run
	// in which all checks passed, unless Keep is set.
	Dir  string
	Keep bool
	// Only are the kinds of faults to be used, empty for all.
	Only []string
	// Disk is how large the broker's file system may become, in bytes, where one is
	// made for it (root on Linux).
	Disk int64
	// Settle is how long the backlog may take to be gone after the last fault.
	Settle time.Duration
	// Unmerged has ClickHouse merge no parts, so that a row that came twice is seen: a
	// merge takes the second away. Only for some ten thousand events.
	Unmerged bool
	// Progress gets a line every now and then; nil gets none.
	Progress io.Writer
}

func (c *Config) validate() error {
	var errs []error
	if c.Events < 1 {
		errs = append(errs, errors.New("events: want at least one"))
	}
	for _, name := range []string{"producer", "redactor", "sink", "notifier", "nats-server", "clickhouse-embedded"} {
		if _, err := os.Stat(c.binary(name)); err != nil {
			errs = append(errs, fmt.Errorf("%w: run `make engine build` first", err))
		}
	}
	for _, name := range c.Only {
		if !known(name) {
			errs = append(errs, fmt.Errorf("no kind of fault is called %q", name))
		}
	}
	if c.Settle == 0 {
		c.Settle = 3 * time.Minute
	}
	if c.Batch == 0 {
		c.Batch = 200
	}
	if c.Disk == 0 {
		c.Disk = 12 << 30
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return errors.Join(errs...)
}

// binary is the path of a binary: that whose clock can be set, if there is one.
func (c *Config) binary(name string) string {
	if path, ok := c.Overrides[name]; ok {
		return path
	}
	if c.ClockBin != "" {
		if path := filepath.Join(c.ClockBin, name); exists(path) {
			return path
		}
	}
	return filepath.Join(c.Bin, name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
