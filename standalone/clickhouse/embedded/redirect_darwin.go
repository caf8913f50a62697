package embedded

import (
	"fmt"
	"syscall"
)

// Redirect makes file descriptor to another name of from.
func Redirect(from, to int) error {
	if err := syscall.Dup2(from, to); err != nil {
		return fmt.Errorf("redirect file descriptor %d: %w", to, err)
	}
	return nil
}
