package notifier

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// sequences is a set of stream sequences: which events a group has counted, so
// that one delivered again is not counted twice, in whatever order events come
// and whichever notifier gets them. Its zero value is empty.
type sequences struct {
	// floor: the set holds everything up to it.
	floor uint64
	// runs are what it holds above, in order, neither touching nor overlapping.
	runs []sequenceRun
}

type sequenceRun struct{ first, last uint64 }

// maxRuns bounds the set, some 50 KB in the store. It takes more than 10,000
// events of one group between other events, all not yet below the floor, to get
// there; then the oldest gaps are closed, and what was in them and comes later
// is not counted.
const maxRuns = 16384

// add puts a sequence into the set and reports whether it was not there before.
func (s *sequences) add(sequence uint64) bool {
	if sequence <= s.floor {
		return false
	}
	i := len(s.runs) // where the run that ends at or after the sequence is
	if i > 0 && s.runs[i-1].last >= sequence {
		i, _ = slices.BinarySearchFunc(s.runs, sequence, func(r sequenceRun, q uint64) int {
			if r.last < q {
				return -1
			}
			return 1
		})
		if s.runs[i].first <= sequence {
			return false
		}
	}
	left := i > 0 && s.runs[i-1].last+1 == sequence
	right := i < len(s.runs) && s.runs[i].first == sequence+1
	switch {
	case left && right:
		s.runs[i-1].last = s.runs[i].last
		s.runs = slices.Delete(s.runs, i, i+1)
	case left:
		s.runs[i-1].last = sequence
	case right:
		s.runs[i].first = sequence
	default:
		s.runs = slices.Insert(s.runs, i, sequenceRun{sequence, sequence})
	}
	if len(s.runs) > maxRuns {
		s.raise(s.runs[maxRuns/8].last) // several at once, or each add would move them all
	}
	if s.runs[0].first == s.floor+1 {
		s.raise(s.runs[0].last)
	}
	return true
}

// has tells whether the set holds the sequence.
func (s *sequences) has(sequence uint64) bool {
	if sequence <= s.floor {
		return true
	}
	i, _ := slices.BinarySearchFunc(s.runs, sequence, func(r sequenceRun, q uint64) int {
		if r.last < q {
			return -1
		}
		return 1
	})
	return i < len(s.runs) && s.runs[i].first <= sequence
}

// raise puts everything up to floor into the set.
func (s *sequences) raise(floor uint64) {
	if floor <= s.floor {
		return
	}
	n := 0
	for n < len(s.runs) && s.runs[n].first <= floor+1 {
		floor = max(floor, s.runs[n].last)
		n++
	}
	s.floor, s.runs = floor, slices.Delete(s.runs, 0, n)
}

// MarshalText implements encoding.TextMarshaler: the floor, then for each run
// its distance from what stands before it, and how many more it has behind a +.
func (s *sequences) MarshalText() ([]byte, error) {
	text := strconv.AppendUint(nil, s.floor, 10)
	before := s.floor
	for _, r := range s.runs {
		text = strconv.AppendUint(append(text, ' '), r.first-before, 10)
		if r.last > r.first {
			text = strconv.AppendUint(append(text, '+'), r.last-r.first, 10)
		}
		before = r.last
	}
	return text, nil
}

var errSequences = errors.New("not a set of sequences")

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *sequences) UnmarshalText(text []byte) error {
	head, rest, more := strings.Cut(string(text), " ")
	floor, err := strconv.ParseUint(head, 10, 63)
	if err != nil {
		return errSequences
	}
	out, before := sequences{floor: floor}, floor
	for more {
		head, rest, more = strings.Cut(rest, " ")
		distance, length, long := strings.Cut(head, "+")
		gap, err := strconv.ParseUint(distance, 10, 62)
		if err != nil || gap < 2 {
			return errSequences // one that touches would be part of the run before
		}
		r := sequenceRun{first: before + gap, last: before + gap}
		if long {
			size, err := strconv.ParseUint(length, 10, 62)
			if err != nil || size == 0 {
				return errSequences
			}
			r.last += size
		}
		if r.last >= 1<<63 || r.last < r.first || r.first < before || len(out.runs) > maxRuns {
			return errSequences
		}
		out.runs, before = append(out.runs, r), r.last
	}
	*s = out
	return nil
}
