package notifier

import (
	"testing"
	"time"
	"unsafe"
)

// readFast is the present time as it was read while the clock was an hour fast: the
// time that has passed is right, what the clock said is not. A time's first word holds
// the seconds of the clock above 30 bits of nanoseconds.
func readFast(t *testing.T) time.Time {
	t.Helper()
	now := time.Now()
	fast := now
	*(*uint64)(unsafe.Pointer(&fast)) += 3600 << 30
	if fast.Sub(now) != 0 || fast.Round(0).Sub(now.Round(0)) != time.Hour {
		t.Fatal("a time is not made as expected")
	}
	return fast
}

// TestClockSetBack: what is to be stored in a second is not kept waiting because
// somebody has set the clock back an hour since.
func TestClockSetBack(t *testing.T) {
	fast := readFast(t)
	soon := &entry{group: &group{Opened: "1"}, storeAt: fast.Add(time.Second), index: -1}
	var q queue
	q.set(soon, soon.next(timing{}))
	// Another one has something to do every few seconds, which the store says.
	q.set(&entry{group: &group{}, index: -1}, time.Now().Add(5*time.Second).Round(0))
	if q[0] != soon {
		t.Error("another entry is before it")
	}
	// It has itself something to say, some moments before, by the wrong clock.
	soon.group.WindowEnd, soon.group.Count = fast.Round(0), 1
	if wait := time.Until(soon.next(timing{})); wait > time.Second {
		t.Errorf("it waits for %s", wait)
	}
}
