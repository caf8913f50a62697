package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/producer/generate"
	"sluice/schemas"
)

// workload is a way in which events come.
type workload string

const (
	steady  workload = "steady"
	bursts  workload = "bursts"
	tenants workload = "many tenants"
	hot     workload = "one hot action"
	slow    workload = "slow consumers"
	rolling workload = "rolling restarts"
)

// workloads are all of them, in the order in which they take turns.
var workloads = []workload{steady, bursts, tenants, hot, slow, rolling}

// batch is what is published at once, of one tenant.
type batch struct {
	tenant string
	lines  [][]byte
	pks    []uuid.UUID
	probes map[string]int
}

func (b *batch) add(line []byte, pk uuid.UUID) {
	b.lines = append(b.lines, line)
	b.pks = append(b.pks, pk)
}

// source makes the events that a seed means.
type source struct {
	events *generate.Generator
	dice   *rand.Rand
	made   int
	start  time.Time
}

func newSource(seed uint64) *source {
	// The times of the events move on by a few milliseconds each, as those of a busy
	// installation do.
	start := time.Now().Add(-time.Hour)
	return &source{
		events: generate.New(generate.Config{Seed: seed, Start: start, Interval: 2 * time.Millisecond}),
		dice:   rand.New(rand.NewPCG(seed, 2)), start: start,
	}
}

const (
	// probeEvery is how often an event comes that must raise an alert of its own,
	// largeEvery one of some 300 KB, strayEvery one from a machine whose clock is off.
	probeEvery = 500
	largeEvery = 6000
	strayEvery = 600
	largeBytes = 300_000
	// shift is how far such a clock is off at most: within the retention.
	shift = 300 * 24 * time.Hour
)

// next makes a batch of n events.
func (s *source) next(n int, kind workload, phase int, tenant string) *batch {
	b := &batch{tenant: tenant, probes: map[string]int{}}
	for range n {
		s.made++
		switch {
		case kind == hot:
			s.probe(b, fmt.Sprintf("hot-%d", phase))
		case s.made%probeEvery == 0:
			s.probe(b, fmt.Sprintf("one-%d", s.made))
		case s.made%largeEvery == 1:
			s.own(b, "fault_large", fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", largeBytes)), time.Now())
		case s.made%strayEvery == 2:
			s.own(b, "fault_stray", "{}", time.Now().Add(time.Duration(s.dice.Int64N(int64(2*shift)))-shift))
		default:
			e := s.events.Next()
			b.add(e.JSON, uuid.MustParse(e.PK))
		}
	}
	return b
}

func (s *source) probe(b *batch, name string) {
	b.probes[name]++
	s.own(b, "fault_probe", fmt.Sprintf(`{"probe":%q,"fingerprint":%q}`, name, name), time.Now())
}

func (s *source) own(b *batch, action, context string, created time.Time) {
	var pk uuid.UUID
	for i := 0; i < len(pk); i += 8 {
		v := s.dice.Uint64()
		for k := range 8 {
			pk[i+k] = byte(v >> (8 * k))
		}
	}
	pk[6], pk[8] = pk[6]&0x0f|0x40, pk[8]&0x3f|0x80
	b.add(fmt.Appendf(nil, `{"pk":%q,"action":%q,"app":"faults","user":{"username":"nobody"},"context":%s,"created":%q}`,
		pk, action, context, created.UTC().Format(time.RFC3339Nano)), pk)
}

// poison is the n-th bad event, of every kind in turn, with a secret in it, and the
// subject for it.
func poison(n int, marker string) (subject string, data []byte) {
	secret := fmt.Sprintf("%spoison-%d", marker, n)
	subject = schemas.RawSubject("poison", "login")
	switch n % 8 {
	case 0:
		return subject, fmt.Appendf(nil, `{"context":{"password":%q}`, secret) // no end
	case 1:
		return subject, fmt.Appendf(nil, `["password",%q]`, secret)
	case 2:
		return subject, fmt.Appendf(nil, `{"user":%q,"context":{}}`, secret)
	case 3:
		return subject, fmt.Appendf(nil, `{"action":"logout","context":{"token":%q}}`, secret)
	case 4:
		return subject, fmt.Appendf(nil, `{"context":{"password":"%s%s"}}`, secret, "\xff") // not UTF-8
	case 5:
		return subject, fmt.Appendf(nil, `{"context":{"password":%q,"x":%s%s}}`, secret, strings.Repeat("[", 20_000), strings.Repeat("]", 20_000))
	case 6:
		return subject, append([]byte(secret), bytes.Repeat([]byte{0}, 100)...)
	}
	size := 2000
	if n%200 == 7 { // rarely, since the quarantine is to keep them all
		size = 5 << 18
	}
	return subject, fmt.Appendf(nil, `{"created":"tomorrow","context":{"password":%q,"x":"%s"}}`, secret, strings.Repeat("y", size))
}
