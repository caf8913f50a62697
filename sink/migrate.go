package sink

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// versionTable is where goose keeps which migrations were applied.
const versionTable = "sluice.schema_version"

// ErrNewerSchema is returned when the table was migrated by a newer sink. An
// older one must not write into it: install the newer one.
var ErrNewerSchema = errors.New("the table was migrated by a newer sink")

// Migrate brings the database to this binary's schema and returns the names of
// the migrations it applied. Several may run at once: one does the work, the
// others wait for it. One that was killed is taken over after a minute.
func Migrate(ctx context.Context, server ClickHouse) ([]string, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	if server.placement().clustered() {
		return migrateCluster(ctx, server, files)
	}
	return migrate(ctx, server, files, goose.NewGoMigration(clusterBase, &goose.GoFunc{RunDB: moveByExpiry}, nil))
}

// migrationTimeout is how long one statement may take: some copy the table.
const migrationTimeout = 24 * time.Hour

// migrate migrates one server.
func migrate(ctx context.Context, server ClickHouse, files fs.FS, steps ...*goose.Migration) ([]string, error) {
	return migrateBy(ctx, server, func(db *sql.DB) (*goose.Provider, error) {
		return goose.NewProvider(goose.DialectClickHouse, db, files, goose.WithGoMigrations(steps...),
			goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	})
}

// migrateCluster migrates all servers of a cluster, each of which has to be up if there
// is something to do.
func migrateCluster(ctx context.Context, server ClickHouse, files fs.FS) ([]string, error) {
	p := server.placement()
	steps, err := p.clusterSteps(files)
	if err != nil {
		return nil, err
	}
	store, err := p.store()
	if err != nil {
		return nil, err
	}
	return migrateBy(ctx, server, func(db *sql.DB) (*goose.Provider, error) {
		return goose.NewProvider(goose.DialectCustom, db, nil, goose.WithStore(store), goose.WithGoMigrations(clusterMigrations(steps)...),
			goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	})
}

func migrateBy(ctx context.Context, server ClickHouse, open func(db *sql.DB) (*goose.Provider, error)) ([]string, error) {
	db, err := openMigrations(ctx, server)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	provider, err := open(db)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	if done, err := upToDate(ctx, provider); done || err != nil {
		return nil, err
	}
	lock, work, err := lockMigrations(ctx, db, server.placement())
	if err != nil {
		return nil, mayNotMigrate(err)
	}
	defer lock.release(ctx)
	if done, err := upToDate(work, provider); done || err != nil {
		return nil, err // another one was faster
	}
	results, err := provider.Up(work)
	if err != nil {
		return nil, mayNotMigrate(migrationError(err))
	}
	applied := make([]string, len(results))
	for i, r := range results {
		applied[i] = migrationName(r.Source)
	}
	return applied, nil
}

// openMigrations connects to a ClickHouse that can have the table, and makes the
// database if it is not there.
func openMigrations(ctx context.Context, server ClickHouse) (*sql.DB, error) {
	opts, err := server.options()
	if err != nil {
		return nil, err
	}
	opts.ReadTimeout = max(opts.ReadTimeout, migrationTimeout)
	p := server.placement()
	opts.Settings = p.changing(p.inserting(p.reading(clickhouse.Settings{})))
	if p.clustered() {
		// Less than a lock outlives its holder. What a migration does there takes moments.
		opts.Settings["distributed_ddl_task_timeout"] = int(migrationPatience / time.Second)
	}
	db := clickhouse.OpenDB(opts)
	if err := checkVersion(ctx, db); err != nil {
		_ = db.Close()
		if unreachable(err) {
			err = fmt.Errorf("%w (start it, or set CLICKHOUSE_URL)", err)
		}
		return nil, fmt.Errorf("connect to ClickHouse at %s: %w", strings.Join(opts.Addr, ","), err)
	}
	if err := p.check(ctx, db); err != nil {
		_ = db.Close()
		return nil, err
	}
	if err := ensureDatabase(ctx, db, p); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// ensureDatabase asks first, so that a user who may not make it can go on where it is.
func ensureDatabase(ctx context.Context, db *sql.DB, p placement) error {
	var there bool
	err := db.QueryRowContext(ctx, "SELECT count() > 0 FROM system.databases WHERE name = 'sluice'").Scan(&there)
	if err == nil && !there {
		_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS sluice"+p.onCluster())
	}
	if err != nil {
		return mayNotMigrate(fmt.Errorf("create database sluice: %w", faultOf(err)))
	}
	return nil
}

// migrationPatience is how long the servers of a cluster may take for a statement.
const migrationPatience = 20 * time.Second

// mayNotMigrate says what to do where a user lacks the right, or a server is away.
func mayNotMigrate(err error) error {
	var f *fault
	switch {
	case !errors.As(err, &f):
	case f.code == codeAccessDenied || f.code == codeProhibited:
		return fmt.Errorf("%w: CLICKHOUSE_USER may not change the schema: run `sink migrate` as one who may", err)
	case f.code == codeTimeout:
		return fmt.Errorf("%w: not every server of SINK_CLUSTER did it in %s, and all have to be up for a migration", err, migrationPatience)
	}
	return err
}

// ClickHouse's ACCESS_DENIED, QUERY_IS_PROHIBITED for a user without allow_ddl, and
// TIMEOUT_EXCEEDED for servers that do not do what all are told.
const (
	codeAccessDenied = 497
	codeProhibited   = 392
	codeTimeout      = 159
)

// passes tells whether a migration may work later.
func passes(err error) bool {
	var f *fault
	return unreachable(err) || errors.As(err, &f) && f.code == codeTimeout
}

// upToDate tells whether there is nothing to do; a newer schema is an error.
func upToDate(ctx context.Context, provider *goose.Provider) (bool, error) {
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return false, mayNotMigrate(fmt.Errorf("read the version of the schema: %w", faultOf(err)))
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	if have > newest {
		return false, fmt.Errorf("%w: it is at version %d, this one knows %d", ErrNewerSchema, have, newest)
	}
	return have == newest, nil
}

// migrationName is how a migration is called to the operator.
func migrationName(source *goose.Source) string {
	if source.Type != goose.TypeGo {
		return path.Base(source.Path)
	}
	if names, err := fs.Glob(migrationFiles, fmt.Sprintf("migrations/%04d_*.sql", source.Version)); err == nil && len(names) == 1 {
		return path.Base(names[0])
	}
	return fmt.Sprintf("%04d_by_expiry", source.Version)
}

// migrationError names the migration that failed. ClickHouse's message is shown
// here, since a migration holds nobody's data.
func migrationError(err error) error {
	which := "migrations"
	var partial *goose.PartialError
	if errors.As(err, &partial) && partial.Failed != nil {
		which = "migration " + migrationName(partial.Failed.Source)
	}
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok {
		return fmt.Errorf("apply %s: %w: %.300s", which, faultOf(err), exception.Message)
	}
	return fmt.Errorf("apply %s: %w", which, faultOf(err))
}

// oldestMajor and oldestMinor are the first version of ClickHouse that the table
// was tried on. It needs projections with block sizes of their own, which came
// in the first half of 2026.
const (
	oldestMajor = 26
	oldestMinor = 7
)

// checkVersion refuses a ClickHouse that does not know what the table needs.
func checkVersion(ctx context.Context, db *sql.DB) error {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT version()").Scan(&version); err != nil {
		return faultOf(err)
	}
	if tooOld(version) {
		return fmt.Errorf("it is version %.32s, want %d.%d or newer", version, oldestMajor, oldestMinor)
	}
	return nil
}

// tooOld lets a version pass that it cannot read.
func tooOld(version string) bool {
	var major, minor int
	if n, err := fmt.Sscanf(version, "%d.%d", &major, &minor); n != 2 || err != nil {
		return false
	}
	return major < oldestMajor || major == oldestMajor && minor < oldestMinor
}
