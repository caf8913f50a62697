package daemon

import (
	"os"
	"syscall"
)

// leaveNoCore has a crash leave no memory behind: a core file of the redactor holds
// raw events, and with them passwords, outside of everything that guards them. The
// limit keeps the kernel from writing a file; a program that it hands the core to
// instead (core_pattern with a pipe) is not bound by it, so the core is told to hold
// no memory.
func leaveNoCore() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // where it is refused, the limit was lower
	_ = os.WriteFile("/proc/self/coredump_filter", []byte("0"), 0)
}
