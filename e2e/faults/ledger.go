package faults

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// ledger is what was acknowledged to producers: 16 bytes for each event.
type ledger struct {
	// count is how many events and poison there were acknowledged; sent how many
	// were handed to a producer.
	count atomic.Int64

	mu    sync.Mutex
	acked []uuid.UUID
	// risked were acknowledged, and then taken away on purpose: each may be a row,
	// or else must be said to be missing.
	risked map[uuid.UUID]struct{}
	// poison is how many bad events were acknowledged, by number.
	poison map[int]struct{}
	// probes are the events that must raise an alert, by fingerprint.
	probes map[string]int
}

func newLedger() *ledger {
	return &ledger{risked: map[uuid.UUID]struct{}{}, poison: map[int]struct{}{}, probes: map[string]int{}}
}

func (l *ledger) acknowledge(pks []uuid.UUID, probes map[string]int) {
	l.mu.Lock()
	l.acked = append(l.acked, pks...)
	for name, n := range probes {
		l.probes[name] += n
	}
	l.mu.Unlock()
	l.count.Add(int64(len(pks)))
}

// poisoned notes that a bad event was acknowledged; it becomes no row.
func (l *ledger) poisoned(number int) {
	l.mu.Lock()
	l.poison[number] = struct{}{}
	l.mu.Unlock()
	l.count.Add(1)
}

func (l *ledger) risk(pks []uuid.UUID) {
	l.mu.Lock()
	for _, pk := range pks {
		l.risked[pk] = struct{}{}
	}
	l.mu.Unlock()
}

// rows is how many rows the acknowledged events make.
func (l *ledger) rows() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// difference is how what is stored differs from what was acknowledged.
type difference struct {
	acknowledged, stored    int
	missing, strange, twice []uuid.UUID
	// lost are risked events that are no rows.
	lost int
}

// compare compares with the pks of all rows, and sorts both.
func (l *ledger) compare(stored []uuid.UUID) difference {
	l.mu.Lock()
	defer l.mu.Unlock()
	order := func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(l.acked, order)
	slices.SortFunc(stored, order)
	d := difference{acknowledged: len(l.acked) + len(l.risked), stored: len(stored)}
	there := 0
	for i, j := 0, 0; i < len(l.acked) || j < len(stored); {
		switch {
		case j > 0 && j < len(stored) && stored[j] == stored[j-1]:
			d.twice = append(d.twice, stored[j])
			j++
		case i == len(l.acked) || j < len(stored) && order(stored[j], l.acked[i]) < 0:
			if _, risked := l.risked[stored[j]]; risked {
				there++
			} else {
				d.strange = append(d.strange, stored[j])
			}
			j++
		case j == len(stored) || order(l.acked[i], stored[j]) < 0:
			d.missing = append(d.missing, l.acked[i])
			i++
		default:
			i++
			j++
		}
	}
	d.lost = len(l.risked) - there
	return d
}
