package sink

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// The places in Keeper of tables that are the same on every server, and of those that
// are a shard's. They are spelled out rather than made of the table's UUID, so that the
// statements that made a replica also make the next one.
const (
	sharedInKeeper  = "'/clickhouse/tables/sluice/%s', '{shard}-{replica}'"
	shardedInKeeper = "'/clickhouse/tables/{shard}/sluice/%s', '{replica}'"
)

// clusterStatement makes of the table of one server what one shard has.
func (p placement) clusterStatement() string {
	return p.spread(strings.NewReplacer(
		"CREATE TABLE IF NOT EXISTS "+nextTable, "CREATE TABLE IF NOT EXISTS "+p.rowsTable()+onClusterMark,
		"ENGINE = ReplacingMergeTree", "ENGINE = ReplicatedReplacingMergeTree("+fmt.Sprintf(shardedInKeeper, "events")+")",
		// The log of tokens is in Keeper. A week is longer than a sink is frozen.
		"non_replicated_deduplication_window = 10000,", "replicated_deduplication_window = 10000,\n"+
			"    replicated_deduplication_window_seconds = 604800,\n"+
			"    -- What a replica fetches counts for the quorum, so it survives a power cut too.\n"+
			"    min_compressed_bytes_to_fsync_after_fetch = 1,",
	).Replace(statementsOf(nextTableStatement)[0]))
}

// distributedStatement makes the table that is asked and inserted into. The pk alone
// says which shard a row is in: an event that is published again, with another tenant or
// time, goes where the first one is.
func (p placement) distributedStatement() string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s ENGINE = Distributed('%s', 'sluice', 'events_local', sipHash64(pk))",
		eventsTable, p.onCluster(), p.rowsTable(), p.cluster)
}

// versionStatement makes goose's table on all servers, as one that they share.
func (p placement) versionStatement() string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s (version_id Int64, is_applied UInt8, date Date DEFAULT now(), tstamp DateTime DEFAULT now()) "+
		"ENGINE = ReplicatedMergeTree("+sharedInKeeper+") ORDER BY version_id", versionTable, p.onCluster(), "schema_version")
}

// clusterBase is the last version before clusters were known: a cluster begins with what
// that had become.
const clusterBase = 3

// step is what one migration does on a cluster.
type step struct {
	version    int64
	name       string
	statements []string
}

// clusterSteps are the migrations of a cluster, each of which may be repeated.
func (p placement) clusterSteps(files fs.FS) ([]step, error) {
	steps := []step{{clusterBase, "0003_by_expiry", []string{p.clusterStatement(), p.distributedStatement()}}}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		if version <= clusterBase {
			continue
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		s := step{version: version, name: path.Base(name)}
		for _, statement := range statementsOf(string(text)) {
			s.statements = append(s.statements, p.spread(statement))
		}
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.version, b.version) })
	return steps, nil
}

// clusterMigrations are the steps for goose.
func clusterMigrations(steps []step) []*goose.Migration {
	out := make([]*goose.Migration, 0, len(steps))
	for _, s := range steps {
		out = append(out, goose.NewGoMigration(s.version, &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			return execAll(ctx, db, s.statements)
		}}, nil))
	}
	return out
}

// CompleteCluster gives the servers that joined the cluster after the last migration
// their tables and views, and returns how many lacked them. It does nothing on one server.
func CompleteCluster(ctx context.Context, server ClickHouse) (int, error) {
	p := server.placement()
	if !p.clustered() {
		return 0, nil
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	steps, err := p.clusterSteps(files)
	if err != nil {
		return 0, err
	}
	db, err := openMigrations(ctx, server)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	lacking := 0
	have := "SELECT countIf(name = 'events') AS tables FROM system.tables WHERE database = 'sluice'"
	if err := db.QueryRowContext(ctx, "SELECT toInt64(countIf(tables = 0)) FROM "+p.everywhere("view("+have+")")).Scan(&lacking); err != nil {
		return 0, fmt.Errorf("look for servers without the table: %w", faultOf(err))
	}
	if lacking == 0 {
		return 0, nil
	}
	statements := []string{"CREATE DATABASE IF NOT EXISTS sluice" + p.onCluster(), p.versionStatement()}
	for _, s := range steps {
		statements = append(statements, s.statements...)
	}
	if err := execAll(ctx, db, statements); err != nil {
		return 0, fmt.Errorf("give new servers their tables: %w", faultOf(err))
	}
	return lacking, nil
}

func execAll(ctx context.Context, db *sql.DB, statements []string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// clusterStore is goose's table on a cluster.
type clusterStore struct {
	database.Store
	create string
}

// CreateVersionTable implements database.Store.
func (s clusterStore) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	_, err := db.ExecContext(ctx, s.create)
	return err
}

func (p placement) store() (database.Store, error) {
	store, err := database.NewStore(database.DialectClickHouse, versionTable)
	return clusterStore{Store: store, create: p.versionStatement()}, err
}

// statementsOf cuts a file of ours into its statements: no text in it holds a semicolon at
// the end of a line.
func statementsOf(file string) []string {
	var code strings.Builder
	for line := range strings.Lines(file) {
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
