//go:build !linux

package daemon

func leaveNoCore() {}
