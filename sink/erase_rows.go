package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// erasingTable lists the pks of rows that are being erased. The mutation names it
// instead of the person, since ClickHouse keeps the text of the last hundred
// mutations, in files too.
const erasingTable = "sluice.erasing"

// errStillThere: a row of the person's came in between.
var errStillThere = errors.New("events of this user are still being stored: run the command again")

// erase removes the rows, and waits until no file holds them.
func (t *storedEvents) erase(ctx context.Context, e Erasure, out, progress io.Writer) error {
	erased := uint64(0)
	for range retentionTries {
		n, err := t.eraseListed(ctx, e, progress)
		if err != nil {
			return err
		}
		erased += n
		var left uint64
		look := fmt.Sprintf("SELECT count() FROM %s WHERE %s", t.place.everywhere(t.place.rowsTable()), e.where())
		if err := t.rowEverywhere(ctx, look, &left); err != nil {
			return fmt.Errorf("look whether all rows are gone: %w", err)
		}
		if left > 0 {
			continue
		}
		if err := t.offDisk(ctx, progress); err != nil {
			return err
		}
		if err := t.exec(ctx, "TRUNCATE TABLE IF EXISTS "+erasingTable+t.place.onCluster()); err != nil {
			return fmt.Errorf("empty the list of erased rows: %w", err)
		}
		fmt.Fprintf(out, "Erased %d events from the table %s; no file of ClickHouse holds them any more.\n", erased, eventsTable)
		return t.reportDetached(ctx, out)
	}
	return errStillThere
}

// eraseListed lists the rows and removes what is listed, also by a run that was
// interrupted.
func (t *storedEvents) eraseListed(ctx context.Context, e Erasure, progress io.Writer) (uint64, error) {
	for _, statement := range t.listStatements(e) {
		if err := t.exec(ctx, statement); err != nil {
			return 0, fmt.Errorf("list the rows to erase: %w", err)
		}
	}
	var there, anywhere uint64
	listed := "pk IN (SELECT pk FROM " + erasingTable + ")"
	if err := t.rowEverywhere(ctx, fmt.Sprintf("SELECT (SELECT count() FROM %s WHERE %s), (SELECT count() FROM %s WHERE %s)",
		eventsTable, listed, t.place.everywhere(t.place.rowsTable()), listed), &there, &anywhere); err != nil {
		return 0, fmt.Errorf("count the rows to erase: %w", err)
	}
	if anywhere == 0 {
		return 0, nil
	}
	return there, t.mutate(ctx, "erase rows", "DELETE WHERE "+listed, progress)
}

// listStatements list the rows on every server, since each replica reads the list that it
// has itself: one that lagged would keep rows that others remove.
func (t *storedEvents) listStatements(e Erasure) []string {
	engine := "MergeTree"
	if t.place.clustered() {
		engine = "ReplicatedMergeTree(" + fmt.Sprintf(sharedInKeeper, "erasing") + ")"
	}
	out := []string{
		"CREATE TABLE IF NOT EXISTS " + erasingTable + t.place.onCluster() +
			" (pk UUID) ENGINE = " + engine + " ORDER BY pk COMMENT 'pks of the rows that `sink erase` is removing'",
		// The same list may come again once the table was emptied.
		fmt.Sprintf("INSERT INTO %s SETTINGS insert_deduplicate = 0, deduplicate_insert_select = 'disable' SELECT pk FROM %s WHERE (%s) AND pk NOT IN (SELECT pk FROM %s)",
			erasingTable, eventsTable, e.where(), erasingTable),
	}
	if t.place.clustered() {
		out = append(out, "SYSTEM SYNC REPLICA"+t.place.onCluster()+" "+erasingTable)
	}
	return out
}

// clocksDiffer is more than the clocks of a cluster's servers do.
const clocksDiffer = time.Minute

// oldParts counts the parts from before the last erasure that are still on a disk, says
// how long ClickHouse keeps such, and whether it could remove them now. On a cluster,
// where each replica has versions of its own, these are all parts that no query reads
// and that were there by now: no fewer than those with erased rows.
func (t *storedEvents) oldParts(now time.Time) string {
	before := "data_version < (SELECT max(arrayMax(`block_numbers.number`)) FROM system.mutations WHERE " + t.place.inRowsTable() +
		" AND position(command, '" + erasingTable + "') > 0)"
	if t.place.clustered() {
		before = "modification_time <= " + at(now.Add(clocksDiffer))
	}
	parts := "SELECT remove_time FROM system.parts WHERE " + t.place.inRowsTable() + " AND _state != 'Active' AND " + before
	if t.place.clustered() {
		parts = t.place.everywhere("view(" + parts + ")") // the cluster's table of parts has no _state
	} else {
		parts = "(" + parts + ")"
	}
	return "SELECT count(), toUInt64(any(lifetime)), max(remove_time) + any(lifetime) < now() FROM " + parts + " AS parts, " +
		"(SELECT toUInt64(value) AS lifetime FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime') AS settings"
}

// offDisk waits until ClickHouse has removed the files of all parts from before the
// last erasure. It keeps them for a while, lest a power cut takes the new ones.
func (t *storedEvents) offDisk(ctx context.Context, progress io.Writer) error {
	now, err := t.now(ctx)
	if err != nil {
		return fmt.Errorf("look whether the files are gone: %w", err)
	}
	old := t.oldParts(now)
	var parts, lifetime uint64
	var due bool
	for nudged := (time.Time{}); ; {
		if err := t.rowEverywhere(ctx, old, &parts, &lifetime, &due); err != nil && ctx.Err() == nil {
			return fmt.Errorf("look whether the files are gone: %w", err)
		} else if err == nil && parts == 0 {
			overwrite(progress, "")
			return nil
		}
		// Replicas look for such files every half a minute by themselves.
		if due && !t.place.clustered() && time.Since(nudged) > nudgeEvery {
			nudged = time.Now()
			if err := t.exec(ctx, nudge); err != nil && ctx.Err() == nil {
				return fmt.Errorf("have old files removed: %w", err)
			}
		}
		overwrite(progress, fmt.Sprintf("%d old parts to leave the disk; ClickHouse keeps them for %s or a little longer", parts, time.Duration(lifetime)*time.Second))
		if wait(ctx, progressEvery) != nil {
			return errors.New("interrupted: the rows are gone, but ClickHouse has yet to remove their old files: run the command again to see it done")
		}
	}
}

// nudge makes ClickHouse remove old files that are due: it does so whenever a partition
// is dropped, and this one is never there: a cohort has 32 bits. By itself it may take minutes to look for
// them when nothing else happens. Merges that run begin again, so it is not for
// every moment.
const (
	nudge      = "ALTER TABLE " + eventsTable + " DROP PARTITION ID '4294967296'"
	nudgeEvery = 10 * time.Second
)

// reportDetached tells of parts that somebody or a repair has set aside, which nothing
// removes.
func (t *storedEvents) reportDetached(ctx context.Context, out io.Writer) error {
	var parts uint64
	if err := t.rowEverywhere(ctx, "SELECT count() FROM "+t.place.everywhere("system.detached_parts")+" WHERE database = 'sluice'", &parts); err != nil {
		return fmt.Errorf("look for detached parts: %w", err)
	}
	if parts > 0 {
		fmt.Fprintf(out, "ClickHouse has %d detached parts of it, which were not looked at: see system.detached_parts.\n", parts)
	}
	return nil
}
