package generate

import "slices"

// A block is a run of events in which every action occurs. The first has just
// one event for each action; the others are so long that any 500 consecutive
// events hold a whole one.
const (
	blockEvents = 250
	noKind      = kindCount
)

// step says what happens next: who does what, and where.
type step struct {
	kind   kind
	who    *person // who acts; nil in the background
	from   place   // where the request comes from
	target *person // whom it is about: the name tried, the person impersonated, the recipient
	// anonymous: who goes through a flow and has not logged in yet.
	anonymous bool
	fault     *fault // what broke
	due       int    // the position in the run from which a later step may happen
}

// schedule decides what happens in the organisation, and in which order. It
// alone changes the state of people: a person acts only while logged in, an
// impersonation ends only if it has started.
type schedule struct {
	org      *organisation
	random   random
	weights  []int // running sums, by kind
	position int   // events so far

	slots  []kind          // of this block: the action that must have occurred by then
	offset int             // into slots
	seen   [kindCount]bool // the actions of this block so far

	later         []step // what follows from earlier steps
	online        int
	impersonators []*person // who is impersonating someone, oldest first
	fault         *fault    // of the latest deploy
	deploys       int
}

func newSchedule(org *organisation, r random) *schedule {
	s := &schedule{org: org, random: r}
	sum := 0
	for _, a := range actions() {
		sum += a.weight
		s.weights = append(s.weights, sum)
	}
	for _, p := range org.people {
		if p.online {
			s.online++
		}
	}
	s.fault = newFault(&s.random, s.deploys)
	s.startBlock(int(kindCount))
	return s
}

// next is the next step, done.
func (s *schedule) next() step {
	if s.offset == len(s.slots) {
		s.startBlock(blockEvents)
	}
	must := s.slots[s.offset]
	s.offset++
	s.position++
	st := s.choose(must)
	s.seen[st.kind] = true
	s.apply(st)
	return st
}

// startBlock gives each action a place in the next size events by which it must
// have occurred.
func (s *schedule) startBlock(size int) {
	s.offset = 0
	s.seen = [kindCount]bool{}
	s.slots = s.slots[:0]
	for i := range size {
		s.slots = append(s.slots, min(kind(i), noKind))
	}
	for i := size - 1; i > 0; i-- {
		j := s.random.below(i + 1)
		s.slots[i], s.slots[j] = s.slots[j], s.slots[i]
	}
	started, ended := slices.Index(s.slots, impersonationStarted), slices.Index(s.slots, impersonationEnded)
	if ended < started {
		s.slots[started], s.slots[ended] = s.slots[ended], s.slots[started]
	}
}

// choose prefers what must happen now to what follows from earlier steps, and
// that to something new.
func (s *schedule) choose(must kind) step {
	if must != noKind && !s.seen[must] {
		return s.begin(must)
	}
	for {
		st, ok := s.takeLater()
		if !ok {
			return s.begin(s.draw())
		}
		if s.possible(st) {
			return st
		}
	}
}

// takeLater removes and returns the step that has been due longest.
func (s *schedule) takeLater() (step, bool) {
	first := -1
	for i := range s.later {
		if due := s.later[i].due; due <= s.position && (first < 0 || due < s.later[first].due) {
			first = i
		}
	}
	if first < 0 {
		return step{}, false
	}
	st := s.later[first]
	s.later = slices.Delete(s.later, first, first+1)
	return st, true
}

// possible tells whether a step still makes sense after what happened since it
// was planned.
func (s *schedule) possible(st step) bool {
	switch {
	case st.kind == impersonationEnded:
		return st.who.impersonating == st.target
	case st.anonymous || st.who == nil || st.kind == login:
		return true
	default:
		return st.who.online
	}
}

// follow plans a step for some events later.
func (s *schedule) follow(st step, soonest, latest int) {
	st.due = s.position + s.random.between(soonest, latest)
	s.later = append(s.later, st)
}

// draw chooses something new, so that between an eighth and two thirds of the
// people are logged in.
func (s *schedule) draw() kind {
	k := kind(s.random.weighted(s.weights))
	switch {
	case k == logout && s.online < peopleCount/8:
		return login
	case k == login && s.online > peopleCount*2/3:
		return logout
	case k == impersonationStarted && len(s.impersonators) > 2:
		return modelUpdated
	}
	return k
}

// apply does what the step does to people.
func (s *schedule) apply(st step) {
	switch st.kind {
	case login:
		if !st.who.online {
			s.online++
		}
		st.who.online, st.who.at = true, st.from
	case logout:
		s.online--
		st.who.online = false
	case impersonationStarted:
		st.who.impersonating = st.target
		s.impersonators = append(s.impersonators, st.who)
	case impersonationEnded:
		st.who.impersonating = nil
		s.impersonators = slices.DeleteFunc(s.impersonators, func(p *person) bool { return p == st.who })
	default:
	}
}

// find is a random person who is as wanted, or if there is none the first, who
// is an administrator on call.
func (s *schedule) find(is func(*person) bool) *person {
	start := s.random.below(peopleCount)
	for i := range peopleCount {
		if p := s.org.people[(start+i)%peopleCount]; is(p) {
			return p
		}
	}
	return s.org.people[0]
}
