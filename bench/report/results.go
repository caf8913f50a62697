// Package report turns what was measured into what is read: a page and a plot. It
// knows nothing of how things are measured; the same results give the same bytes.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"sluice/bench/latency"
	"sluice/bench/proc"
)

// Results is one run of the harness: bench/results.json.
type Results struct {
	At      time.Time `json:"at"`
	Machine Machine   `json:"machine"`
	// Versions are those of the programs, by name.
	Versions map[string]string `json:"versions"`
	// Settings are the flags that the run was made with.
	Settings map[string]string `json:"settings"`
	// Note is what whoever ran it has to say, such as what else was running.
	Note         string        `json:"note,omitempty"`
	EventBytes   int           `json:"event_bytes"`
	Measurements []Measurement `json:"measurements"`
	Sustained    *Sustained    `json:"sustained,omitempty"`
	Latencies    []Latency     `json:"latencies,omitempty"`
	Peers        []Peer        `json:"peers,omitempty"`
	// Skipped is what was not measured, and why.
	Skipped []Skipped `json:"skipped,omitempty"`
	Seconds float64   `json:"seconds"`
}

// Machine is what it ran on.
type Machine struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
	Filesystem  string `json:"filesystem"`
	// Load is the load average before the run: how much else was going on.
	Load string `json:"load"`
}

// The stages.
const (
	StagePublish = "publish"
	StageRedact  = "redact"
	StageSink    = "sink"
)

// Sluice is the name of the contender that all others stand beside.
const Sluice = "Sluice"

// PeersVariant marks what was measured beside the peers; it is the standard case.
const PeersVariant = "beside the peers"

// Measurement is one contender in one stage, once: from when a tenth of the events
// was through to when the last one was.
type Measurement struct {
	Stage string `json:"stage"`
	Who   string `json:"who"`
	// Variant is how it differs from the standard case, "" for that one: events of
	// 1 KB, one instance, one tenant.
	Variant string `json:"variant,omitempty"`
	// Round is which ceilings it is to be compared with: those of the same round
	// ran right before or after.
	Round   int     `json:"round"`
	Events  int     `json:"events"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	// Processes are all that took part: the contender's own first.
	Processes []Process `json:"processes"`
	// Looked is how many events that came out were looked through for planted secrets
	// that can be known by their text, and Leaked in how many there was one.
	Looked int `json:"looked,omitempty"`
	Leaked int `json:"leaked,omitempty"`
}

// Rate is in events per second.
func (m *Measurement) Rate() float64 {
	if m.Seconds <= 0 {
		return 0
	}
	return float64(m.Events) / m.Seconds
}

// Process is what one process used.
type Process struct {
	proc.Usage

	Name string `json:"name"`
}

// Sustained is all of it end to end for a while: publish, redact, store, alert.
type Sustained struct {
	Seconds   float64 `json:"seconds"`
	Published int     `json:"published"`
	// Rows and Different are count() and uniqExact(pk) of the table in the end.
	Rows      int       `json:"rows"`
	Different int       `json:"different"`
	Bytes     int64     `json:"bytes"`
	Processes []Process `json:"processes"`
	// PerSecond are the rows stored in each second.
	PerSecond []int `json:"per_second"`
}

// Rate is in events per second.
func (s *Sustained) Rate() float64 {
	if s.Seconds <= 0 {
		return 0
	}
	return float64(s.Rows) / s.Seconds
}

// Latency is one open-loop run.
type Latency struct {
	Name string `json:"name"`
	// Rate is how many events per second were due.
	Rate      float64 `json:"rate"`
	Seconds   float64 `json:"seconds"`
	Published int     `json:"published"`
	Rows      int     `json:"rows"`
	// All count from when the event was due to be sent.
	Acknowledged latency.Summary `json:"acknowledged"`
	Queryable    latency.Summary `json:"queryable"`
	Alert        latency.Summary `json:"alert"`
	// AlertsMissing is how many probes made no alert.
	AlertsMissing int `json:"alerts_missing"`
	// PollEvery is the resolution of Queryable.
	PollEvery time.Duration `json:"poll_every_ns"`
	Processes []Process     `json:"processes"`
}

// namedSummary is a latency from when an event was due.
type namedSummary struct {
	name string
	of   latency.Summary
}

func (l *Latency) summaries() []namedSummary {
	return []namedSummary{{"acknowledged", l.Acknowledged}, {"queryable", l.Queryable}, {"alert", l.Alert}}
}

// Peer is another program for the same task.
type Peer struct {
	Name      string            `json:"name"`
	Guarantee string            `json:"guarantee"`
	Versions  map[string]string `json:"versions"`
	// Sync is the sync_interval of its broker, "" for the default.
	Sync string `json:"sync,omitempty"`
}

// Skipped is what was not measured.
type Skipped struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Read reads results.json.
func Read(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	var r Results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the results in %s: %w", path, err)
	}
	return &r, nil
}

// Write writes results.json.
func (r *Results) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// The names of the OpenTelemetry Collector in its two set-ups, and of the ceilings.
const (
	Collector        = "OpenTelemetry Collector, same guarantee"
	CollectorDefault = "OpenTelemetry Collector, its defaults"

	BarePublish = "bare publish"
	BareRelay   = "bare relay"
	BareConsume = "bare consume"
	BareInsert  = "bare insert"
)
