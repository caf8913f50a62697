//go:build !linux

package clickhouse

import "syscall"

// childAttributes gives the child its own process group, which keeps a
// terminal's ^C from it: it must outlive the services that still write to it.
// That it ends with this process rests on its standard input.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
