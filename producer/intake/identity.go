package intake

import (
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// Identity derives the ids of events that have none, so that publishing the same
// input again gives the same ids: a UUIDv5 of the tenant and the event's bytes,
// and for the second and every further event with the same bytes in one run, of
// that id and how many there were before. It is for one run and one goroutine.
type Identity struct {
	namespace uuid.UUID
	exact     map[uint64]uint32
	shared    []uint32
}

// maxExact is how many different events without an id are counted one by one, in
// some 40 MB. Those that appear later share counters by their hash. That still
// tells equal events apart, and the same input still gives the same ids; but the
// number of one then depends on the others before it.
const maxExact = 1 << 20

// NewIdentity returns the Identity for one run.
func NewIdentity(tenant string) *Identity {
	return &Identity{
		namespace: uuid.NewSHA1(namespace, []byte(tenant)),
		exact:     map[uint64]uint32{},
	}
}

// namespace is the UUIDv5 of "sluice/producer/events" in the URL namespace.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice/producer/events"))

// PK returns the id of the event.
func (d *Identity) PK(event []byte) uuid.UUID {
	pk := uuid.NewSHA1(d.namespace, event)
	if n := d.before(binary.BigEndian.Uint64(pk[:])); n > 0 {
		return uuid.NewSHA1(pk, strconv.AppendUint(nil, uint64(n), 10))
	}
	return pk
}

// before counts the events of that hash before this one.
func (d *Identity) before(hash uint64) uint32 {
	n, counted := d.exact[hash]
	if counted || len(d.exact) < maxExact {
		d.exact[hash] = n + 1
		return n
	}
	if d.shared == nil {
		d.shared = make([]uint32, maxExact)
	}
	counter := &d.shared[hash%maxExact]
	*counter++
	return *counter - 1
}
