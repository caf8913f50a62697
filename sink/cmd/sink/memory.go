package main

import (
	"fmt"

	"sluice/sink"
)

// service is the sink as a process of its own, which may set what holds for a whole
// process.
type service struct {
	sink.Config
	// MemoryBytes is little more than the least that the defaults ask for. With what Go
	// does not count, the pages of the binary, the process stays below 256 MB.
	MemoryBytes int64 `envconfig:"SINK_MEMORY_BYTES" default:"226492416" desc:"most memory, in bytes, that the process is to take; raise it with SINK_BATCH_BYTES and SINK_INDEX_BYTES"`
}

const (
	// batchesInHand is how often SINK_BATCH_BYTES is held at most: what is fetched
	// ahead, the batch that fills, the one in flight, that one as columns and encoded,
	// and as much again that is garbage by then.
	batchesInHand = 10
	// runtimeBytes is what the process takes without any event.
	runtimeBytes = 64 << 20
)

// Validate reports every setting that cannot work, alone or with the others.
func (s service) Validate() error {
	if err := s.Config.Validate(); err != nil {
		return err
	}
	if least := s.leastMemory(); s.MemoryBytes < least {
		return fmt.Errorf("SINK_MEMORY_BYTES: want at least %d with SINK_BATCH_BYTES=%d and SINK_INDEX_BYTES=%d, or lower those", least, s.BatchBytes, s.IndexBytes)
	}
	return nil
}

func (s service) leastMemory() int64 {
	return batchesInHand*int64(s.BatchBytes) + int64(s.IndexBytes) + runtimeBytes
}
