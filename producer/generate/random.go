package generate

import "math/bits"

// random is SplitMix64 (Steele, Lea, Flood 2014). The standard library's
// generators do not promise the same draws from one Go release to the next,
// and the same seed must give the same bytes for good.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// below draws from [0, n); n must be positive.
func (r *random) below(n int) int {
	high, _ := bits.Mul64(r.next(), uint64(n))
	return int(high)
}

// between draws from [low, high].
func (r *random) between(low, high int) int {
	return low + r.below(high-low+1)
}

// oneIn is true once in n draws on average.
func (r *random) oneIn(n int) bool {
	return r.below(n) == 0
}

// chance is true at the given rate; never at 0 or less, always at 1 or more.
func (r *random) chance(rate float64) bool {
	const steps = 1 << 53 // as many as a float64 tells apart
	return float64(r.next()>>11) < rate*steps
}

// pick draws one of from, which must not be empty.
func pick[T any](r *random, from []T) T {
	return from[r.below(len(from))]
}

// weighted draws an index of cumulative, the running sums of the weights.
func (r *random) weighted(cumulative []int) int {
	n := r.below(cumulative[len(cumulative)-1])
	for i, sum := range cumulative {
		if n < sum {
			return i
		}
	}
	return len(cumulative) - 1
}
