package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// clock is the clock of one process, which can be set while it runs.
//
// A static Go binary asks the kernel by itself, past libfaketime, and a time
// namespace moves the monotonic clock alone. So the binaries are built once more with
// a time.Now that adds what stands in a file (ClockOverlay); timers go on by the
// monotonic clock, as on a machine whose clock is set.
type clock struct{ path string }

// clockVariable names the file to such a binary.
const clockVariable = "FAULTS_CLOCK"

func newClock(path string) (*clock, error) {
	c := &clock{path}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return c, os.WriteFile(path, make([]byte, 8), 0o600)
}

// set moves the clock by d from the true time.
func (c *clock) set(d time.Duration) error {
	file, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	var value [8]byte
	binary.NativeEndian.PutUint64(value[:], uint64(d/time.Second))
	_, err = file.WriteAt(value[:], 0)
	return errors.Join(err, file.Close())
}

// ClockOverlay writes into dir what `go build -overlay` needs to build a binary
// whose clock can be set, from the Go installation at goroot, and returns the path.
func ClockOverlay(dir, goroot string) (string, error) {
	source := filepath.Join(goroot, "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	const before = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), "func Now() Time {\n"+before) != 1 {
		return "", fmt.Errorf("%s: time.Now is not as expected; this Go version's clock cannot be set", source)
	}
	patched := strings.Replace(string(text), "func Now() Time {\n"+before, "func Now() Time {\n"+before+"\tsec += faultsClock()\n", 1)
	files := map[string]string{
		filepath.Join(dir, "time.go"): patched,
		filepath.Join(dir, "clock.go"): `package time

import (
	"syscall"
	"unsafe"
)

var faultsOffset = openFaultsClock()

func openFaultsClock() *int64 {
	path, there := syscall.Getenv("` + clockVariable + `")
	if !there {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		panic("` + clockVariable + `: " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("` + clockVariable + `: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}

func faultsClock() int64 {
	if faultsOffset == nil { // the package is not initialised yet
		return 0
	}
	return *faultsOffset
}
`,
		filepath.Join(dir, "overlay.json"): fmt.Sprintf(`{"Replace": {%q: %q, %q: %q}}`,
			source, filepath.Join(dir, "time.go"), filepath.Join(goroot, "src", "time", "faults_clock.go"), filepath.Join(dir, "clock.go")),
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "overlay.json"), nil
}
