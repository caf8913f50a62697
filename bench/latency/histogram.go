// Package latency measures how long something takes without coordinated omission:
// a [Schedule] says beforehand when each event is due, and what is recorded in a
// [Histogram] counts from that time, however late the sender came to it.
package latency

import (
	"fmt"
	"math/bits"
	"time"
)

// A bucket is at most 1/64 of its value wide, so a quantile is at most 1.6 % above
// what was measured.
const (
	subBits    = 7
	subBuckets = 1 << subBits
	buckets    = (64-subBits)*subBuckets/2 + subBuckets
)

// Histogram counts durations in buckets whose width grows with their value. The
// zero value is empty and usable; it is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	count  uint64
	max    time.Duration
}

// Record counts one duration; one below zero counts as none.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest one, exact.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the duration that the share q, 0 to 1, of all stays within; 0 of an
// empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	// The smallest number of durations that makes the share.
	rank := uint64(q * float64(h.count))
	if float64(rank) < q*float64(h.count) {
		rank++
	}
	rank = min(max(rank, 1), h.count)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(lastOf(i)), h.max)
		}
	}
	return h.max
}

// bucketOf gives values below subBuckets a bucket each, and each further doubling
// half of subBuckets.
func bucketOf(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits
	return shift*subBuckets/2 + int(v>>shift)
}

// lastOf is the largest value of a bucket.
func lastOf(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := (i - subBuckets/2) / (subBuckets / 2)
	within := uint64(i - shift*subBuckets/2)
	return (within+1)<<shift - 1
}

// Summary is what a report shows of a histogram.
type Summary struct {
	Count uint64        `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p99_9_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Summarize reads the quantiles off.
func (h *Histogram) Summarize() Summary {
	return Summary{Count: h.count, P50: h.Quantile(0.5), P99: h.Quantile(0.99), P999: h.Quantile(0.999), Max: h.max}
}

// String is one line for a terminal.
func (s Summary) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, max %s of %d", round(s.P50), round(s.P99), round(s.P999), round(s.Max), s.Count)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
