package broker

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A broker that stops while it stores says so under the code that it has for a
// full stream too; only the text tells them apart.
func TestClassifyStoreFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text           string
		full, tooLarge bool
		transient      bool
	}{
		{"maximum bytes exceeded", true, false, false},
		{"maximum messages exceeded", true, false, false},
		{"maximum messages per subject exceeded", true, false, false},
		{"message too large", false, true, false},
		{"store is closed", false, false, true},
	} {
		err := classify(&jetstream.APIError{Code: 503, ErrorCode: errCodeStoreFailed, Description: tt.text})
		if full, tooLarge := errors.Is(err, ErrFull), errors.Is(err, ErrTooLarge); full != tt.full || tooLarge != tt.tooLarge {
			t.Errorf("%s: full: got %v, want %v; too large: got %v, want %v", tt.text, full, tt.full, tooLarge, tt.tooLarge)
		}
		if got := transient(err); got != tt.transient {
			t.Errorf("%s: transient: got %v, want %v", tt.text, got, tt.transient)
		}
	}
}
