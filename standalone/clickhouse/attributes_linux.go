package clickhouse

import "syscall"

// childAttributes ties the child to this process. Its own process group keeps a
// terminal's ^C from it: it must outlive the services that still write to it.
// The death signal ends it with this process where nobody closes its input.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
