// Package peer has the programs that do the same task, behind one interface: Sluice
// itself, and others as a user of theirs would set them up.
package peer

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice/bench/proc"
	"sluice/bench/report"
)

// Env is what a peer works in.
type Env struct {
	// Bin is the folder of the programs, Self this program, Dir a folder that is
	// removed afterwards.
	Bin, Self, Dir string
	NATSURL        string
	ClickHouseURL  string
	// Instances is how many processes share the stage.
	Instances int
}

// SyncAlways is the sync_interval of a broker on which an acknowledgement means fsynced; "" is its
// default, two minutes.
const SyncAlways = "always"

// ErrNoStage is returned by a peer that does not do a stage.
var ErrNoStage = errors.New("this peer does not do this stage")

// Peer is one program, in one set-up.
type Peer interface {
	// Name is unique and says the set-up too.
	Name() string
	// Guarantee says what an acknowledged event has survived.
	Guarantee() string
	// Versions are those of what it consists of; an error means that it was not
	// built.
	Versions(ctx context.Context) (map[string]string, error)
	// Sync is the sync_interval of its broker.
	Sync() string
	// Table is where its sink stores, one row for each event.
	Table() string
	// Start starts a stage: report.StageRedact from EVENTS_RAW to EVENTS_CLEAN,
	// report.StageSink from EVENTS_CLEAN to ClickHouse. The caller stops what it
	// returns, with an error too.
	Start(ctx context.Context, stage string, env Env) ([]*proc.Process, error)
}

// All are the peers that can be built here, Sluice first.
func All(bin string) []Peer {
	return []Peer{
		Sluice{Bin: bin},
		OTelCol{Bin: bin},
		OTelCol{Bin: bin, Default: true},
	}
}

// Sluice is what the others are compared with.
type Sluice struct{ Bin string }

// Name implements Peer.
func (Sluice) Name() string { return report.Sluice }

// Guarantee implements Peer.
func (Sluice) Guarantee() string {
	return "acknowledged after the effect, fsynced; stored exactly once"
}

// Sync implements Peer.
func (Sluice) Sync() string { return SyncAlways }

// Table implements Peer.
func (Sluice) Table() string { return "sluice.events" }

// Versions implements Peer.
func (s Sluice) Versions(ctx context.Context) (map[string]string, error) {
	version, err := versionOf(ctx, filepath.Join(s.Bin, "redactor"), "-version")
	return map[string]string{"sluice": version}, err
}

// Start implements Peer.
func (s Sluice) Start(ctx context.Context, stage string, env Env) ([]*proc.Process, error) {
	name, instances := "redactor", env.Instances
	if stage == report.StageSink {
		name, instances = "sink", 1 // one stores at a time
	}
	var all []*proc.Process
	for range instances {
		p, err := proc.Start(ctx, ServiceSpec(env, name))
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
	return all, nil
}

// ServiceSpec is one of Sluice's services with the default settings.
func ServiceSpec(env Env, name string) proc.Spec {
	return proc.Spec{Name: name, Path: filepath.Join(env.Bin, name), Env: []string{
		"NATS_URL=" + env.NATSURL, "CLICKHOUSE_URL=" + env.ClickHouseURL, "HTTP_ADDR=", "LOG_LEVEL=warn",
	}}
}

// versionOf runs a program that prints its version as the last word.
func versionOf(ctx context.Context, path, flag string) (string, error) {
	out, err := exec.CommandContext(ctx, path, flag).Output()
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return "", errors.New("it prints no version")
	}
	return words[len(words)-1], nil
}
