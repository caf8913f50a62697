package sink

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"github.com/google/uuid"
)

// filter knows which pks are certainly not in the table, so that a batch of new
// events need not be looked up there. It is a Bloom filter in blocks of one cache
// line, read from the table when a sink takes its turn to store and kept up by
// its inserts; no other sink inserts meanwhile. It forgets nothing: a pk whose
// row is gone is looked up in vain, which costs a little time and no truth.
//
// Its hash has a random seed, so that nobody can publish pks that fill it
// unevenly. It is safe for concurrent use.
type filter struct {
	seed maphash.Seed
	// limit is how many blocks there may be.
	limit int

	mu     sync.Mutex
	blocks []block
	added  int
	// complete is whether all of the table has been added. Until then every pk
	// may be there.
	complete bool
}

// block is 512 bits.
type block [8]uint64

const (
	// blockPKs is how many pks a block is for: 512 bits for 32 pks leave one in
	// 2,000 to look up in vain, and still one in 50 when there are twice as many.
	blockPKs   = 32
	blockBytes = 64
	// firstBlocks are enough for two million pks, in 4 MiB.
	firstBlocks = 1 << 16
)

// newFilter makes a filter of at most that many bytes. One that is smaller than
// the table needs lets more be looked up.
func newFilter(maxBytes int) *filter {
	return &filter{seed: maphash.MakeSeed(), limit: max(1, maxBytes/blockBytes)}
}

// restart forgets everything and makes room for n pks and as many again.
func (f *filter) restart(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocks = make([]block, min(max(2*n/blockPKs, firstBlocks), f.limit))
	f.added, f.complete = 0, false
}

// add notes that the table has these pks, or is about to.
func (f *filter) add(pks []uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.blocks) == 0 {
		return
	}
	for i := range pks {
		at, mask := f.place(pks[i])
		b := &f.blocks[at]
		for w := range b {
			b[w] |= mask[w]
		}
	}
	f.added += len(pks)
}

// finish says that the whole table has been added.
func (f *filter) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.complete = true
}

// crowded tells whether the filter holds more than it was made for and could be
// larger.
func (f *filter) crowded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.complete && len(f.blocks) < f.limit && f.added > len(f.blocks)*blockPKs
}

// size is how many pks were added.
func (f *filter) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.added
}

// maybe returns the entries whose pk may be in the table, and adds the pks of
// all.
func (f *filter) maybe(entries []entry) []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.blocks) == 0 {
		return entries
	}
	var some []entry
	for i := range entries {
		at, mask := f.place(entries[i].pk)
		b := &f.blocks[at]
		in := true
		for w := range b {
			in = in && b[w]&mask[w] == mask[w]
			b[w] |= mask[w]
		}
		if in && f.complete {
			some = append(some, entries[i])
		}
	}
	f.added += len(entries)
	if !f.complete {
		return entries
	}
	return some
}

// place is the block of a pk and its bits there, one in each word.
func (f *filter) place(pk uuid.UUID) (at int, mask block) {
	h := maphash.Bytes(f.seed, pk[:])
	hi, _ := bits.Mul64(h, uint64(len(f.blocks)))
	h *= 0x9E3779B97F4A7C15 // other bits than those that chose the block
	h ^= h >> 29
	for w := range mask {
		mask[w] = 1 << (h & 63)
		h >>= 6
	}
	return int(hi), mask
}
