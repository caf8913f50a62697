package sink

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
)

// fakeCluster is a Distributed table over shards with replicas, in memory. Each shard
// takes its part of a block at once, or late, at any later call, or never; its replicas
// may lag, upon which a look-up fails; and any answer may get lost.
type fakeCluster struct {
	random *rand.Rand
	shards []*fakeTable
	late   []func() // what shards have still to commit
	poison map[uuid.UUID]bool
	calls  int
}

// calm is after how many calls nothing goes wrong any more, so that a test ends.
const calm = 60

func (f *fakeCluster) chance(percent int) bool {
	return f.calls < calm && f.random.IntN(100) < percent
}

// settle lets some of what is late happen.
func (f *fakeCluster) settle() {
	f.calls++
	for i := 0; i < len(f.late); i++ {
		if f.random.IntN(4) == 0 {
			f.late[i]()
			f.late = append(f.late[:i], f.late[i+1:]...)
			i--
		}
	}
}

func (f *fakeCluster) shardOf(pk uuid.UUID) int { return int(pk[0]) % len(f.shards) }

var (
	errLagging  = &fault{code: 289, text: "REPLICA_IS_NOT_IN_QUORUM"}
	errNoQuorum = &fault{code: 319, text: "UNKNOWN_STATUS_OF_INSERT"}
)

func (f *fakeCluster) known(_ context.Context, entries []entry) (map[uuid.UUID]struct{}, error) {
	f.settle()
	if f.chance(20) {
		return nil, errLagging
	}
	found := map[uuid.UUID]struct{}{}
	for _, e := range entries {
		if f.shards[f.shardOf(e.pk)].rows[e.pk] > 0 {
			found[e.pk] = struct{}{}
		}
	}
	return found, nil
}

func (f *fakeCluster) insert(_ context.Context, entries []entry, token string) error {
	f.settle()
	parts := make([][]entry, len(f.shards))
	for _, e := range entries {
		parts[f.shardOf(e.pk)] = append(parts[f.shardOf(e.pk)], e)
	}
	var failed error
	for i, part := range parts {
		failed = errors.Join(failed, f.insertPart(f.shards[i], part, token))
	}
	if failed == nil && f.chance(20) {
		return errLostAnswer
	}
	return failed
}

func (f *fakeCluster) insertPart(shard *fakeTable, part []entry, token string) error {
	if len(part) == 0 {
		return nil
	}
	for _, e := range part {
		if f.poison[e.pk] {
			return errRefused
		}
	}
	commit := func() { shard.commit(part, token) }
	switch {
	case f.chance(15): // nothing arrived
		return errAway
	case f.chance(25): // it has no quorum yet: nobody sees it until it has
		f.late = append(f.late, commit)
		return errNoQuorum
	default:
		commit()
		return nil
	}
}

// Whatever shards do with their parts of a block, and when, every row that can be stored
// is stored once, and exactly the others are refused.
func TestStoreOnAClusterThatDoesWhatItWants(t *testing.T) {
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeCluster{random: rand.New(rand.NewPCG(seed, 1)), poison: map[uuid.UUID]bool{}}
			for range 1 + seed%3 {
				f.shards = append(f.shards, newFakeTable())
			}
			all := entries(64)
			for range seed % 4 {
				f.poison[all[f.random.IntN(len(all))].pk] = true
			}
			s := newTestStorer(f)
			s.sharded = true
			refused, err := storeAll(t.Context(), s, all)
			if err != nil {
				t.Fatal(err)
			}
			for _, commit := range f.late { // what was late comes in the end
				commit()
			}
			for _, r := range refused {
				if !f.poison[all[r.from.Sequence-1].pk] {
					t.Fatalf("seed %d: a good row was refused", seed)
				}
			}
			stored := 0
			for _, shard := range f.shards {
				if twice := shard.twice(); len(twice) > 0 {
					t.Fatalf("seed %d: %d rows are there twice", seed, len(twice))
				}
				stored += len(shard.rows)
			}
			if stored != len(all)-len(f.poison) || len(refused) != len(f.poison) {
				t.Fatalf("seed %d: %d rows and %d refused of %d, %d of them bad", seed, stored, len(refused), len(all), len(f.poison))
			}
		})
	}
}
