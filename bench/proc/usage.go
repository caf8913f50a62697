package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has used.
type Usage struct {
	// CPU is user and system time of all threads, to 10 ms.
	CPU time.Duration `json:"cpu_ns"`
	// PeakRSSBytes is the most memory that it has had resident since it began.
	PeakRSSBytes int64 `json:"peak_rss_bytes"`
	// WrittenBytes is what it has caused to be written to storage.
	WrittenBytes int64 `json:"written_bytes"`
}

// Since is what was used after an earlier look; the peak is that of all time.
func (u Usage) Since(before Usage) Usage {
	return Usage{CPU: u.CPU - before.CPU, PeakRSSBytes: u.PeakRSSBytes, WrittenBytes: u.WrittenBytes - before.WrittenBytes}
}

// Usage looks at a process, also at one that has just ended: then what it wrote is
// what the last look has seen. It is for one goroutine.
func (p *Process) Usage() (Usage, error) {
	u, err := usageOf(p.cmd.Process.Pid)
	if err == nil {
		p.last = u
		return u, nil
	}
	// A process that ends loses its memory before its parent hears of it.
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return u, fmt.Errorf("look at %s: %w", p.name, err)
	}
	p.last.CPU = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if r, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.last.PeakRSSBytes = r.Maxrss << 10 // in KiB on Linux
	}
	return p.last, nil
}

func usageOf(pid int) (u Usage, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, fmt.Errorf("needs Linux: %w", err)
	}
	if u.CPU, err = parseStat(stat); err != nil {
		return u, err
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return u, err
	}
	kib, err := parseField(status, "VmHWM:")
	if err != nil {
		return u, err
	}
	u.PeakRSSBytes = kib << 10
	io, err := os.ReadFile(dir + "io")
	if err != nil {
		return u, err
	}
	u.WrittenBytes, err = parseField(io, "write_bytes:")
	return u, err
}

// userHZ is how many ticks of /proc/PID/stat make a second: 100 on every Linux
// that Go runs on.
const userHZ = 100

// parseStat reads user and system time; see proc_pid_stat(5). The command's name
// may hold anything, so the fields count from behind its parenthesis.
func parseStat(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields", len(fields))
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("user time: %w", err)
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("system time: %w", err)
	}
	return time.Duration(user+system) * (time.Second / userHZ), nil
}

// parseField reads the number after a name at the beginning of a line.
func parseField(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return strconv.ParseInt(number, 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s there", name)
}
