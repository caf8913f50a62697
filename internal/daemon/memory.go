package daemon

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much the heap may grow before it is collected. What a batch
// leaves behind is garbage all at once, so looking four times less often costs nothing
// but memory, and of that there is a limit.
const garbagePercent = 400

// BoundMemory has the garbage collector of this process keep to the limit, in bytes, and
// be at work less often below it. GOMEMLIMIT and GOGC, where somebody has set them,
// stand. It bounds what Go counts, and garbage alone: not the pages of the binary, nor
// what is in use.
func BoundMemory(limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
