package outbox

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"sluice/notifier/receiver"
)

const (
	// firstDelay is the wait after a first failure.
	firstDelay = time.Second
	// maxDelay is the longest wait by ourselves: a receiver that is back is found
	// within it, and one that is down gets 12 attempts an hour.
	maxDelay = 5 * time.Minute
	// giveUpAfter is how long an alert is tried.
	giveUpAfter = 24 * time.Hour
	// leastAttempts are made even of an older one: the notifier itself may have
	// been away.
	leastAttempts = 5
)

// breaker keeps a failing receiver from being sent to: after each failure there is
// a wait, twice as long as the last, and then one attempt; whatever alert it is
// for. gobreaker has one time-out for all, and would not know of Retry-After.
type breaker struct {
	failures int
	until    time.Time
}

// wait is how long nothing is to be sent.
func (b *breaker) wait(now time.Time) time.Duration { return b.until.Sub(now) }

// answered closes the breaker: the receiver is there, whatever it said.
func (b *breaker) answered() { *b = breaker{} }

// failed opens it, at least for as long as the receiver asks.
func (b *breaker) failed(now time.Time, after time.Duration, random float64) {
	b.failures++
	b.until = now.Add(max(delay(b.failures, random), after))
}

// delay is how long to wait after that many failures in a row: doubling, with half
// of it at random, so that what failed together does not come back together.
func delay(failures int, random float64) time.Duration {
	full := maxDelay
	if shift := failures - 1; shift < 16 {
		full = min(maxDelay, firstDelay<<shift)
	}
	return full/2 + time.Duration(random*float64(full/2))
}

// exhausted tells whether to give an alert up that has failed again.
func exhausted(storedAt, now time.Time, attempts int) bool {
	return attempts >= leastAttempts && now.Sub(storedAt) >= giveUpAfter
}

// newLimit is a token bucket. Rates by the second may come as a burst.
func newLimit(r receiver.Rate) *rate.Limiter {
	burst := 1
	if r.Per == time.Second {
		burst = r.Alerts
	}
	return rate.NewLimiter(rate.Limit(float64(r.Alerts)/r.Per.Seconds()), burst)
}

func random() float64 { return rand.Float64() }
