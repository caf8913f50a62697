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
	db := clickhouse.OpenDB(opts)
	defer db.Close()
	for _, statement := range roleStatements() {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("apply roles: %.40s…: %w", statement, faultOf(err))
		}
	}
	return nil
}

// roleStatements are the statements of roles.sql, in which no text holds a
// semicolon at the end of a line.
func roleStatements() []string {
	var code strings.Builder
	for line := range strings.Lines(rolesFile) {
		if !strings.HasPrefix(line, "--") {
			code.WriteString(line)
		}
	}
	var out []string
	for statement := range strings.SplitSeq(code.String(), ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			out = append(out, statement)
		}
	}
	return out
}
