package daemon

import (
	"runtime/debug"
	"testing"
)

// No test may run beside it: the limit is that of the whole process.
func TestBoundMemory(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	const wanted = 1 << 30
	for _, c := range []struct {
		name, memLimit, gogc string
		wantLimit            int64
		wantPercent          int
	}{
		{"by itself", "", "", wanted, garbagePercent},
		{"GOMEMLIMIT stands", "2GiB", "", limit, garbagePercent},
		{"GOGC stands", "", "50", wanted, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			debug.SetMemoryLimit(limit)
			debug.SetGCPercent(100)
			t.Setenv("GOMEMLIMIT", c.memLimit)
			t.Setenv("GOGC", c.gogc)
			BoundMemory(wanted)
			gotLimit, gotPercent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
			if gotLimit != c.wantLimit || gotPercent != c.wantPercent {
				t.Errorf("got limit %d and percent %d, want %d and %d", gotLimit, gotPercent, c.wantLimit, c.wantPercent)
			}
		})
	}
}
