package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// migrationLock makes one of several sinks migrate at a time. ClickHouse has no
// locks, but of several CREATE TABLE of one name one succeeds: the holder has the
// table sluice.migration_lock_N, whose comment says when it was last alive.
// Whoever finds that no lock was alive for lockStale takes the next N.
//
// Who has made a lock looks whether there is another one alive, and steps back if
// so. Of two that write before they read, one at least sees the other. On a cluster a
// lock is made on all servers, in the one order that Keeper has for such statements, and
// is there once all of them have it: so it does not matter which one is asked.
type migrationLock struct {
	db     *sql.DB
	place  placement
	number int
	stop   context.CancelFunc
	done   chan struct{}
}

const (
	lockPrefix = "migration_lock_"
	// lockBeat is how often the holder says that it is alive, lockStale how long it
	// may be silent: it gives up itself before somebody takes over.
	lockBeat  = 5 * time.Second
	lockStale = 60 * time.Second
	lockRetry = 200 * time.Millisecond
)

// lockMigrations waits for the lock. The context that it returns ends when the
// lock may have been lost.
func lockMigrations(ctx context.Context, db *sql.DB, place placement) (*migrationLock, context.Context, error) {
	for {
		number, alive, now, err := readLocks(ctx, db, 0)
		if err != nil {
			return nil, nil, err
		}
		if !alive {
			l := &migrationLock{db: db, place: place, number: number + 1, done: make(chan struct{})}
			held, err := l.take(ctx, now)
			if err != nil {
				return nil, nil, err
			}
			if held {
				work, cancel := context.WithCancel(ctx)
				l.stop = cancel
				go l.beat(work, cancel)
				return l, work, nil
			}
		}
		if err := wait(ctx, lockRetry+time.Duration(rand.Int64N(int64(lockRetry)))); err != nil {
			return nil, nil, fmt.Errorf("wait for another migration: %w", err)
		}
	}
}

// take makes the lock's table and reports whether it is held.
func (l *migrationLock) take(ctx context.Context, now int64) (bool, error) {
	_, err := l.db.ExecContext(ctx, fmt.Sprintf("CREATE TABLE sluice.%s%d%s (x UInt8) ENGINE = Memory COMMENT '%d'", lockPrefix, l.number, l.place.onCluster(), now))
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok && exception.Code == codeTableExists {
		return false, nil
	}
	if err != nil {
		l.drop(ctx, l.number) // some servers of a cluster may have it
		return false, fmt.Errorf("lock migrations: %w", faultOf(err))
	}
	_, rival, _, err := readLocks(ctx, l.db, l.number)
	if err != nil || rival {
		l.drop(ctx, l.number)
		return false, err
	}
	return true, nil
}

// codeTableExists is ClickHouse's TABLE_ALREADY_EXISTS.
const codeTableExists = 57

// readLocks returns the highest number of a lock, whether one but that of own is
// alive, and the time by ClickHouse's clock.
func readLocks(ctx context.Context, db *sql.DB, own int) (highest int, alive bool, now int64, err error) {
	rows, err := db.QueryContext(ctx, "SELECT toInt64(toUnixTimestamp(now())), name, comment FROM "+
		"(SELECT 1 AS x) AS one LEFT JOIN (SELECT 1 AS x, name, comment FROM system.tables "+
		"WHERE database = 'sluice' AND startsWith(name, '"+lockPrefix+"')) AS locks USING x")
	if err != nil {
		return 0, false, 0, fmt.Errorf("read the locks of migrations: %w", faultOf(err))
	}
	defer rows.Close()
	for rows.Next() {
		var name, comment string
		if err := rows.Scan(&now, &name, &comment); err != nil {
			return 0, false, 0, fmt.Errorf("read the locks of migrations: %w", err)
		}
		number, _ := strconv.Atoi(strings.TrimPrefix(name, lockPrefix))
		beat, _ := strconv.ParseInt(comment, 10, 64)
		highest = max(highest, number)
		if number != own && now-beat < int64(lockStale/time.Second) {
			alive = true
		}
	}
	if err := rows.Err(); err != nil {
		return 0, false, 0, fmt.Errorf("read the locks of migrations: %w", faultOf(err))
	}
	return highest, alive, now, nil
}

// beat says that the holder is alive, and ends its work when that fails for half
// the time after which others take over.
func (l *migrationLock) beat(ctx context.Context, lost context.CancelFunc) {
	defer close(l.done)
	defer lost()
	for said := time.Now(); time.Since(said) < lockStale/2; {
		if wait(ctx, lockBeat) != nil {
			return
		}
		start := time.Now()
		if l.alive(ctx) == nil {
			said = start
		}
	}
}

func (l *migrationLock) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockBeat)
	defer cancel()
	var now int64
	if err := l.db.QueryRowContext(ctx, "SELECT toInt64(toUnixTimestamp(now()))").Scan(&now); err != nil {
		return err
	}
	beat := fmt.Sprintf("ALTER TABLE sluice.%s%d%s MODIFY COMMENT '%d'", lockPrefix, l.number, l.place.onCluster(), now)
	_, err := l.db.ExecContext(ctx, beat)
	return err
}

// release gives the lock to the next one, and removes those that were left by
// sinks that were killed.
func (l *migrationLock) release(ctx context.Context) {
	l.stop()
	<-l.done
	for number := 1; number <= l.number; number++ {
		l.drop(ctx, number)
	}
}

// drop removes a lock. One that stays is taken over later.
func (l *migrationLock) drop(ctx context.Context, number int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockBeat)
	defer cancel()
	_, _ = l.db.ExecContext(ctx, fmt.Sprintf("DROP TABLE IF EXISTS sluice.%s%d%s SYNC", lockPrefix, number, l.place.onCluster()))
}
