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
		text      string
		want      error
		transient bool
	}{
		{"maximum bytes exceeded", ErrFull, false},
		{"maximum messages exceeded", ErrFull, false},
		{"maximum messages per subject exceeded", ErrFull, false},
		{"message too large", ErrTooLarge, false},
		{"store is closed", nil, true},
	} {
		err := classify(&jetstream.APIError{Code: 503, ErrorCode: errCodeStoreFailed, Description: tt.text})
		for _, sentinel := range []error{ErrFull, ErrTooLarge} {
			if got := errors.Is(err, sentinel); got != (sentinel == tt.want) {
				t.Errorf("%s: is %q: %v", tt.text, sentinel, got)
			}
		}
		if got := transient(err); got != tt.transient {
			t.Errorf("%s: transient: got %v, want %v", tt.text, got, tt.transient)
		}
	}
}
