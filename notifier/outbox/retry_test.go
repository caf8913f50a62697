package outbox

import (
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	for n, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		want := time.Duration(seconds) * time.Second
		if low, high := delay(n+1, 0), delay(n+1, 0.999999); low != want/2 || high > want || high < want*99/100 {
			t.Errorf("after %d failures: from %s to %s, want half of %s to all of it", n+1, low, high, want)
		}
	}
	if got := delay(1<<40, 1); got != maxDelay {
		t.Errorf("got %s", got)
	}
}
