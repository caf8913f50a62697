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

// allowCores lets a crash leave a core file, where the system lets us: what is
// started inherits it.
func allowCores() {
	const most = 1 << 30
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: most})
}
