package broker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestConnectHint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("tls: %w", x509.UnknownAuthorityError{}), "NATS_CA"},
		{x509.HostnameError{Certificate: &x509.Certificate{}}, "KEYS_NAMES"},
		{nats.ErrAuthorization, "NATS_NKEY_FILE"},
		{errors.New("connection refused"), "start the broker"},
	} {
		if got := connectHint(test.err); !strings.Contains(got, test.want) {
			t.Errorf("%v: got hint %q, want one about %s", test.err, got, test.want)
		}
	}
}
