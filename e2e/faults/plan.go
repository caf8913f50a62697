package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Step is one fault of a plan.
type Step struct {
	// At is how many events are acknowledged when it begins.
	At int
	// Kind and Target say what is done to whom.
	Kind, Target string
	// For is how long it lasts.
	For time.Duration
	// Dice decides what else there is to decide.
	Dice uint64
}

func (s Step) String() string {
	return fmt.Sprintf("%-8s %-16s at %d for %s", s.Kind, s.Target, s.At, s.For.Round(time.Millisecond))
}

// kind is a kind of fault, and against whom it can be used.
type kind struct {
	name    string
	targets []string
	// least and most are how long it lasts.
	least, most time.Duration
	// weight is how often each target comes in a bag of the plan; 0 is once in
	// every rareBags bags, and onlyNamed is only where it is asked for by name, so that
	// a kind that comes later changes the meaning of no seed.
	weight int
}

const onlyNamed = -1

// rareBags is in how many bags a kind without weight comes once: those that cost
// minutes, because everything in EVENTS_CLEAN is read again.
const rareBags = 4

var (
	services = []string{"redactor-0", "redactor-1", "sink-0", "sink-1", "notifier-0", "notifier-1"}
	links    = []string{"producer-broker", "redactor-broker", "sink-broker", "sink-clickhouse", "notifier-broker", "notifier-receiver"}
	readers  = []string{"redactor", "sink", "notifier"}
)

// kinds are all kinds of faults.
func kinds() []kind {
	return []kind{
		{"kill", append([]string{"door", "publish", "broker", "clickhouse"}, services...), 0, 0, 1},
		{"crash", append([]string{"door"}, services...), 0, 0, 0},
		{"restart", append([]string{"door"}, services...), 0, 0, 0},
		{"stop", append([]string{"door", "publish", "broker", "clickhouse"}, services...), 300 * time.Millisecond, 3 * time.Second, 1},
		{"freeze", []string{"sink-0", "sink-1"}, 12 * time.Second, 14 * time.Second, 0},
		{"outage", []string{"broker", "clickhouse"}, time.Second, 5 * time.Second, 1},
		{"power", []string{"broker"}, 0, time.Second, 2},
		{"full", []string{"broker"}, time.Second, 3 * time.Second, 1},
		{"slow", links, time.Second, 3 * time.Second, 1},
		{"cut", links, 200 * time.Millisecond, 3 * time.Second, 1},
		{"reset", links, 200 * time.Millisecond, 2 * time.Second, 1},
		{"half", links, time.Second, 4 * time.Second, 1},
		{"torn", links, 200 * time.Millisecond, 2 * time.Second, 1},
		{"clock", append([]string{"broker"}, services...), time.Second, 5 * time.Second, 1},
		{"again", []string{"producer"}, 0, 0, 2},
		{"late", []string{"producer"}, 0, 0, 0},
		{"steal", readers, 0, 0, 1},
		{"forget", readers, 0, 0, 0},
		{"table", []string{"clickhouse"}, 2 * time.Second, 4 * time.Second, 0},
		{"purge", []string{"EVENTS_RAW", "EVENTS_CLEAN"}, 0, 0, 0},
		{"dying", []string{"sink"}, 1500 * time.Millisecond, 2500 * time.Millisecond, onlyNamed},
	}
}

func known(name string) bool {
	return slices.ContainsFunc(kinds(), func(k kind) bool { return k.name == name })
}

// calmMost is how many events pass before the first fault and after the last, at most.
const calmMost = 20_000

// Plan is the schedule that a seed means: so many faults over so many events, each
// kind and target as often as its weight says, and calm at both ends. Where kinds are
// asked for by name, one of each comes before a second of any.
func Plan(seed uint64, events, faults int, only []string) []Step {
	dice := rand.New(rand.NewPCG(seed, 1))
	head := min(events/20, calmMost)
	tail := head
	if faults < 1 {
		return nil
	}
	steps := make([]Step, 0, faults)
	var bag []Step
	for bags := 0; len(steps) < faults; {
		if len(bag) == 0 {
			if bag = fill(dice, bags, only); len(bag) == 0 {
				break
			}
			bags++
		}
		step := bag[0]
		bag = bag[1:]
		room := (events - head - tail) / faults
		step.At = head + len(steps)*room + dice.IntN(room/2+1)
		step.Dice = dice.Uint64()
		steps = append(steps, step)
	}
	return steps
}

// fill makes a bag in which every kind is, shuffled.
func fill(dice *rand.Rand, bags int, only []string) []Step {
	var bag []Step
	for _, k := range kinds() {
		if len(only) > 0 && !slices.Contains(only, k.name) || len(only) == 0 && k.weight == onlyNamed {
			continue
		}
		for i, target := range k.targets {
			times := max(k.weight, -k.weight)
			if times == 0 && (bags+i)%rareBags == 0 {
				times = 1
			}
			for range times {
				d := k.least
				if k.most > k.least {
					d += time.Duration(dice.Int64N(int64(k.most - k.least)))
				}
				bag = append(bag, Step{Kind: k.name, Target: target, For: d})
			}
		}
	}
	dice.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
	if len(only) > 0 && bags == 0 {
		return oneOfEachFirst(bag)
	}
	return bag
}

func oneOfEachFirst(bag []Step) []Step {
	seen := map[string]bool{}
	var first, rest []Step
	for _, s := range bag {
		if seen[s.Kind] {
			rest = append(rest, s)
		} else {
			seen[s.Kind], first = true, append(first, s)
		}
	}
	return append(first, rest...)
}

// role is what a process or link is for: sink of sink-0.
func role(name string) string {
	for _, known := range readers {
		if strings.HasPrefix(name, known+"-") && len(name) == len(known)+2 {
			return known
		}
	}
	return name
}
