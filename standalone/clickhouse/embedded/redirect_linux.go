package embedded

import (
	"fmt"
	"syscall"
)

// Redirect makes file descriptor to another name of from.
func Redirect(from, to int) error {
	if err := syscall.Dup3(from, to, 0); err != nil { // arm64 has no dup2
		return fmt.Errorf("redirect file descriptor %d: %w", to, err)
	}
	return nil
}
