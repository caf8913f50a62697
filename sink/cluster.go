package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// placement is where the table is: on one server, or on all of a cluster's, in which
// case the rows are in sluice.events_local of each shard, on each of its replicas, and
// sluice.events is Distributed over them. docs/decisions/0010-cluster.md has the reasons.
type placement struct{ cluster string }

func (c ClickHouse) placement() placement { return placement{cluster: c.Cluster} }

// clustered tells whether there may be several servers.
func (p placement) clustered() bool { return p.cluster != "" }

// clusterName is what a cluster may be called. ClickHouse allows more, which would have
// to be quoted in two ways.
var clusterName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`)

func (p placement) validate() error {
	if p.clustered() && !clusterName.MatchString(p.cluster) {
		return errors.New("SINK_CLUSTER: want the name of a cluster of system.clusters: up to 63 letters, digits, dots, _ and -")
	}
	return nil
}

// rowsTable holds the rows, and is what mutations and system tables name.
func (p placement) rowsTable() string {
	if p.clustered() {
		return "sluice.events_local"
	}
	return eventsTable
}

// inRowsTable is the condition on a system table for what belongs to rowsTable.
func (p placement) inRowsTable() string {
	_, table, _ := strings.Cut(p.rowsTable(), ".")
	return "database = 'sluice' AND table = '" + table + "'"
}

// onCluster makes a statement one for every server.
func (p placement) onCluster() string {
	if p.clustered() {
		return " ON CLUSTER '" + p.cluster + "'"
	}
	return ""
}

// everywhere is a table as it is on each server, one after the other: replicas of one
// shard give their rows twice.
func (p placement) everywhere(table string) string {
	if p.clustered() {
		return "clusterAllReplicas('" + p.cluster + "', " + table + ")"
	}
	return table
}

// once is a table as it is on one replica of each shard.
func (p placement) once(table string) string {
	if p.clustered() {
		return "cluster('" + p.cluster + "', " + table + ")"
	}
	return table
}

// shard is the column that tells shards apart in what once gives, and in sluice.events.
func (p placement) shard() string {
	if p.clustered() {
		return "_shard_num"
	}
	return "0"
}

// onClusterMark stands in a statement of ours where ON CLUSTER goes.
const onClusterMark = " /* ON CLUSTER */"

// spread puts the cluster into a statement that has marks for it.
func (p placement) spread(statement string) string {
	return strings.ReplaceAll(statement, onClusterMark, p.onCluster())
}

// reading are the settings by which a query sees every row whose insert was answered:
// a replica that lacks one refuses, and another one is asked. They work because inserts
// have a quorum, one after the other.
func (p placement) reading(settings clickhouse.Settings) clickhouse.Settings {
	if p.clustered() {
		settings["select_sequential_consistency"] = 1
		settings["max_query_size"] = 1 << 22 // a shard gets the pks decoded
	}
	return settings
}

// inserting are the settings by which an insert is answered once a majority of the
// replicas of every shard has it.
func (p placement) inserting(settings clickhouse.Settings) clickhouse.Settings {
	if p.clustered() {
		settings["distributed_foreground_insert"] = 1
		settings["insert_quorum"] = "auto"
		settings["insert_quorum_parallel"] = 0 // else no read knows what it has to see
		settings["insert_quorum_timeout"] = insertTimeout.Milliseconds()
		settings["prefer_localhost_replica"] = 1
	}
	return settings
}

// changing are the settings by which a statement on all servers is waited for.
func (p placement) changing(settings clickhouse.Settings) clickhouse.Settings {
	if p.clustered() {
		settings["distributed_ddl_output_mode"] = "throw"
		settings["distributed_ddl_task_timeout"] = -1 // as long as it takes
	}
	return settings
}

// errPlacement: the settings and the table disagree about where it is.
var errPlacement = errors.New("the table is not where the settings say")

// check tells whether ClickHouse has the cluster, and the table where it is said to be.
func (p placement) check(ctx context.Context, db *sql.DB) error {
	if p.clustered() {
		if err := p.checkCluster(ctx, db); err != nil {
			return err
		}
	}
	var engine, full string
	err := db.QueryRowContext(ctx, "SELECT engine, engine_full FROM system.tables WHERE database = 'sluice' AND name = 'events'").Scan(&engine, &full)
	distributed := engine == "Distributed"
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look for %s: %w", eventsTable, faultOf(err))
	case distributed && !p.clustered():
		return fmt.Errorf("%w: %s is a cluster's: set SINK_CLUSTER to its name, or two sinks would not see each other's rows", errPlacement, eventsTable)
	case distributed && !strings.Contains(full, "'"+p.cluster+"'"):
		return fmt.Errorf("%w: %s is of another cluster than SINK_CLUSTER=%s", errPlacement, eventsTable, p.cluster)
	case !distributed && p.clustered():
		return fmt.Errorf("%w: %s is one server's: move its rows as deploy/cluster/clickhouse/README.md says, or leave SINK_CLUSTER empty", errPlacement, eventsTable)
	}
	return nil
}

// checkCluster tells what the servers' configuration lacks.
func (p placement) checkCluster(ctx context.Context, db *sql.DB) error {
	var replicas, writing, macros uint64
	if err := db.QueryRowContext(ctx, fmt.Sprintf("SELECT count(), countIf(NOT internal_replication), "+
		"(SELECT count() FROM system.macros WHERE macro IN ('shard', 'replica')) FROM system.clusters WHERE cluster = '%s'", p.cluster)).
		Scan(&replicas, &writing, &macros); err != nil {
		return fmt.Errorf("look for cluster %s: %w", p.cluster, faultOf(err))
	}
	switch {
	case replicas == 0:
		return fmt.Errorf("SINK_CLUSTER: ClickHouse knows no cluster %s: see remote_servers in its configuration", p.cluster)
	case writing > 0:
		return fmt.Errorf("SINK_CLUSTER: cluster %s needs internal_replication in each shard of remote_servers", p.cluster)
	case macros < 2:
		return errors.New("SINK_CLUSTER: ClickHouse needs the macros shard and replica in its configuration")
	}
	return nil
}
