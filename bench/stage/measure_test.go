package stage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// steady is a stage that begins after a while and goes on at a rate, in batches.
func steady(begin time.Time, startUp time.Duration, perSecond, batch int) progress {
	return func(context.Context) (int, error) {
		n := int(time.Since(begin.Add(startUp)).Seconds() * float64(perSecond))
		return max(n/batch*batch, 0), nil
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		startUp          time.Duration
		perSecond, batch int
		total            int
		limit            time.Duration
		count            int
		rate             float64
	}{
		"start-up does not count":      {3 * time.Second, 1000, 10, 10_000, time.Minute, 9000, 1000},
		"progress in batches":          {time.Second, 1000, 1000, 10_000, time.Minute, 9000, 1000},
		"what is slow is not followed": {0, 100, 10, 10_000, 20 * time.Second, 2000, 100},
		"all at once":                  {time.Second, 1000, 1000, 1000, time.Minute, 1000, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				from, to, err := follow(t.Context(), nil, tt.total, 10*time.Millisecond, tt.limit, steady(time.Now(), tt.startUp, tt.perSecond, tt.batch))
				if err != nil {
					t.Fatal(err)
				}
				m := measurement(nil, from, to, int64(tt.total)*100, tt.total)
				if got := m.Rate(); got < 0.98*tt.rate || got > 1.02*tt.rate {
					t.Errorf("got %v events/s, want %v", got, tt.rate)
				}
				if m.Events < tt.count-tt.batch || m.Events > tt.count || m.Bytes != int64(m.Events)*100 {
					t.Errorf("got %d events of %d bytes, want %d", m.Events, m.Bytes, tt.count)
				}
			})
		})
	}
}

func TestFollowFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		none := func(context.Context) (int, error) { return 0, nil }
		if _, _, err := follow(t.Context(), nil, 100, time.Millisecond, time.Second, none); err == nil {
			t.Error("nothing came through: no error")
		}
		broken := errors.New("gone")
		if _, _, err := follow(t.Context(), nil, 100, time.Millisecond, time.Second, func(context.Context) (int, error) { return 0, broken }); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFirstSeen(t *testing.T) {
	t.Parallel()
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	seen := firstSeen([]look{{at(1), 10}, {at(2), 20}, {at(5), 21}})
	for sequence, want := range map[uint64]int64{1: 1, 10: 1, 11: 2, 20: 2, 21: 5} {
		if got, found := seen(sequence); !found || !got.Equal(at(want)) {
			t.Errorf("sequence %d: got %v, %t, want %v", sequence, got, found, at(want))
		}
	}
	if _, found := seen(22); found {
		t.Error("sequence 22 was never seen")
	}
}
