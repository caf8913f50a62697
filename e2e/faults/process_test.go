package faults

import (
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// What is started again at once after a fault must not count the fault as an end of
// its own. Others ask after the process all the time, so that whoever waits for the
// end is often sooner than whoever notes it.
func TestProcessEndsAsAsked(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no command to start and kill")
	}
	dir := t.TempDir()
	p := &proc{name: "sleep", path: sleep, args: []string{"600"}, dir: dir, logs: filepath.Join(dir, "log")}
	over := make(chan struct{})
	var asking sync.WaitGroup
	for range 32 {
		asking.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					p.pid()
				}
			}
		})
	}
	const times = 500
	for range times {
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		if err := p.end(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	close(over)
	asking.Wait()
	if exits := p.unasked(); len(exits) > 0 {
		t.Errorf("%d of %d ends by a fault are taken for the process's own, the first: %s", len(exits), times, exits[0].how)
	}
}
