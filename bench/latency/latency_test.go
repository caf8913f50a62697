package latency

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	values := make([]time.Duration, 100_000)
	for i := range values {
		values[i] = time.Duration(random.ExpFloat64() * float64(3*time.Millisecond))
		h.Record(values[i])
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := values[min(max(int(q*float64(len(values)))-1, 0), len(values)-1)]
		got := h.Quantile(q)
		if got < want || float64(got) > 1.02*float64(want)+64 {
			t.Errorf("quantile %v: got %v, want %v to 2 %% more", q, got, want)
		}
	}
	if h.Max() != values[len(values)-1] || h.Count() != uint64(len(values)) {
		t.Errorf("got max %v and count %d", h.Max(), h.Count())
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 255, 256, 1000, 1 << 20, 1<<62 + 12345, 1<<63 - 1} {
		i := bucketOf(v)
		if i >= buckets || lastOf(i) < v || (i > 0 && lastOf(i-1) >= v) {
			t.Errorf("%d is in bucket %d, which ends at %d, the one before at %d", v, i, lastOf(i), lastOf(max(i-1, 0)))
		}
	}
	for i := 1; i < buckets; i++ {
		if i < buckets-subBuckets/2 && bucketOf(lastOf(i)) != i || bucketOf(lastOf(i-1)+1) != i {
			t.Fatalf("bucket %d: its ends are in %d and %d", i, bucketOf(lastOf(i-1)+1), bucketOf(lastOf(i)))
		}
	}
}

func TestEmptyAndNegative(t *testing.T) {
	t.Parallel()
	var h Histogram
	if got := h.Summarize(); got != (Summary{}) {
		t.Errorf("of nothing: got %+v", got)
	}
	h.Record(-time.Second)
	if got := h.Summarize(); got != (Summary{Count: 1}) {
		t.Errorf("of a clock that went back: got %+v", got)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for _, rate := range []float64{0.5, 3, 1000, 33_333, 1e6} {
		s := Schedule{Start: start, Rate: rate}
		for _, i := range []int{0, 1, 7, 1000, 99_999} {
			if got := s.Due(s.At(i)); got < i+1 {
				t.Errorf("rate %v: at the time of event %d %d are due", rate, i, got)
			}
			if got := s.Due(s.At(i).Add(-time.Nanosecond)); got > i {
				t.Errorf("rate %v: right before event %d %d are due", rate, i, got)
			}
		}
	}
}

// A sender that stalls sends all that was due in the meantime, each with the time
// that it was due at: this is what coordinated omission would hide.
func TestRunAfterAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := Schedule{Start: time.Now(), Rate: 1000}
		var h Histogram
		err := s.Run(t.Context(), 2000, func(i int, due time.Time) {
			if i == 500 {
				<-time.After(time.Second)
			}
			h.Record(time.Since(due))
		})
		if err != nil || h.Count() != 2000 {
			t.Fatalf("got %d events and %v", h.Count(), err)
		}
		if late := h.Quantile(0.75); late < 400*time.Millisecond {
			t.Errorf("half of the events were due in a stall of a second, but p75 is %v", late)
		}
		if got := time.Since(s.Start); got != 1999*time.Millisecond {
			t.Errorf("took %v", got)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sent := 0
		err := Schedule{Start: time.Now(), Rate: 10}.Run(ctx, 100, func(int, time.Time) { sent++ })
		if !errors.Is(err, context.DeadlineExceeded) || sent < 10 || sent > 11 {
			t.Errorf("got %v after %d", err, sent)
		}
	})
}
