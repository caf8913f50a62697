package faults

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// bind has the process end with this one.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// allowCore lets a crash leave a core file, where the system lets us.
func allowCore(pid int) {
	const most = 1 << 30
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: most}, nil)
}
