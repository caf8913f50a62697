package sink

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

//go:embed roles.sql
var rolesFile string

// ApplyRoles makes the roles of readers and the row policies that keep a tenant's
// analysts to their tenant. It may be run again. The user of CLICKHOUSE_URL needs access
// management, which ClickHouse's default user has only where it is configured.
func ApplyRoles(ctx context.Context, server ClickHouse) error {
	opts, err := server.options()
	if err != nil {
		return err
	}
	opts.Settings = server.placement().changing(opts.Settings)
	if server.placement().clustered() {
		// Users and roles that are kept in Keeper are on all servers already.
		opts.Settings["ignore_on_cluster_for_replicated_access_entities_queries"] = 1
	}
	db := clickhouse.OpenDB(opts)
	defer db.Close()
	for _, statement := range roleStatements(server.placement()) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("apply roles: %.40s…: %w", statement, faultOf(err))
		}
	}
	return nil
}

// roleStatements are the statements of roles.sql. On a cluster, what they say of the
// table holds for that of each shard as well, which reads as whoever asked.
func roleStatements(p placement) []string {
	var out []string
	for _, statement := range statementsOf(rolesFile) {
		out = append(out, p.spread(statement))
		if local := strings.Replace(statement, " ON "+eventsTable+" ", " ON "+p.rowsTable()+" ", 1); local != statement {
			out = append(out, p.spread(local))
		}
	}
	return out
}
