package notifier

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSequencesAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var s sequences
	model := map[uint64]bool{}
	floor := uint64(0)
	for step := range 20_000 {
		if step%997 == 996 {
			floor += uint64(random.IntN(400))
			s.raise(floor)
		}
		q := floor + uint64(random.IntN(5000)) - min(floor, 50)
		want := q > floor && !model[q]
		if q == 0 {
			continue
		}
		if got := s.add(q); got != want {
			t.Fatalf("step %d: add(%d) = %v, want %v", step, q, got, want)
		}
		model[q] = true
		for i, r := range s.runs {
			if r.last < r.first || r.first <= s.floor+1 || i > 0 && r.first <= s.runs[i-1].last+1 {
				t.Fatalf("step %d: runs out of order: floor %d, %v", step, s.floor, s.runs)
			}
		}
		floor = max(floor, s.floor)
	}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back sequences
	if err := back.UnmarshalText(text); err != nil {
		t.Fatalf("unmarshal %q: %v", text, err)
	}
	for q := range model {
		if back.add(q) {
			t.Fatalf("%d is not in the set that was read back", q)
		}
	}
}

func TestSequencesText(t *testing.T) {
	var s sequences
	for _, q := range []uint64{105, 101, 103, 104, 200, 108} {
		s.add(q)
	}
	s.raise(100)
	text, _ := s.MarshalText()
	if want := "101 2+2 3 92"; string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

func TestSequencesAreBounded(t *testing.T) {
	var s sequences
	const last = 6 * maxRuns
	for q := uint64(2); q <= last; q += 2 {
		if !s.add(q) {
			t.Fatalf("%d was there already", q)
		}
	}
	if len(s.runs) > maxRuns {
		t.Errorf("%d runs, want at most %d", len(s.runs), maxRuns)
	}
	if s.add(last) || s.add(2) || !s.add(last-1) {
		t.Error("the set forgot what is in it, or holds a recent gap")
	}
}

func FuzzSequences(f *testing.F) {
	for _, s := range []string{"0", "100 2+2 3 92", "1 1", "5 2+0", "", "9223372036854775807 2", "1 2 ", "1 +", "1 2+4611686018427387903 2+4611686018427387903"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s sequences
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		out, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again sequences
		if err := again.UnmarshalText(out); err != nil {
			t.Fatalf("%q was read and written as %q, which is not read: %v", text, out, err)
		}
		for _, r := range s.runs {
			if s.add(r.first) || s.add(r.last) {
				t.Fatalf("%q: %v is not in it", text, r)
			}
		}
		if strings.Count(string(out), " ") != len(again.runs) {
			t.Fatalf("%q: %d runs", out, len(again.runs))
		}
	})
}
