package door

import (
	"errors"
	"fmt"
	"os"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

// Config is what `producer serve` can be told.
type Config struct {
	broker.NATS
	daemon.Process

	HTTPAddr       string        `envconfig:"HTTP_ADDR" default:"127.0.0.1:8084" desc:"where /livez, /readyz and /metrics are served; empty for nowhere"`
	Addr           string        `envconfig:"PRODUCER_SERVE_ADDR" default:"127.0.0.1:8090" desc:"where events are taken"`
	TokensFile     string        `envconfig:"PRODUCER_TOKENS_FILE" desc:"file with who may publish what (docs/publishing.md); read again on SIGHUP; required"`
	TLSCert        string        `envconfig:"PRODUCER_TLS_CERT" desc:"file with the door's certificate, PEM; empty serves plain HTTP; read again on SIGHUP"`
	TLSKey         string        `envconfig:"PRODUCER_TLS_KEY" desc:"file with the key of PRODUCER_TLS_CERT, PEM"`
	Timeout        time.Duration `envconfig:"PRODUCER_TIMEOUT" default:"10s" desc:"how long a request waits for the broker before it is answered with 503"`
	ReadTimeout    time.Duration `envconfig:"PRODUCER_READ_TIMEOUT" default:"15s" desc:"how long a client may take to send its request"`
	MaxBodyBytes   int           `envconfig:"PRODUCER_MAX_BODY_BYTES" default:"8388608" desc:"most bytes of one request, after decompression"`
	MaxMemoryBytes int           `envconfig:"PRODUCER_MAX_MEMORY_BYTES" default:"67108864" desc:"most bytes of all requests together that are in memory; more are answered with 503"`
	MaxConnections int           `envconfig:"PRODUCER_MAX_CONNECTIONS" default:"1024" desc:"most connections at a time; more wait to be accepted"`
	Rate           int           `envconfig:"PRODUCER_RATE" default:"5000" desc:"most events a second for each token, over ten seconds; 0 for no limit"`

	// Reload is a signal to read the tokens again.
	Reload <-chan os.Signal `ignored:"true"`
	// Listening is told the address once there is one; it may be nil.
	Listening func(addr string) `ignored:"true"`
}

// Validate reports every setting that cannot work.
func (c *Config) Validate() error {
	errs := []error{c.NATS.Validate()}
	demand := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New(problem))
		}
	}
	demand(c.TokensFile != "", "PRODUCER_TOKENS_FILE: name the file with the tokens, one line for each: NAME TENANT ACTIONS sha256:HASH")
	demand(c.Addr != "", "PRODUCER_SERVE_ADDR: want an address such as 127.0.0.1:8090")
	demand((c.TLSCert == "") == (c.TLSKey == ""), "PRODUCER_TLS_CERT and PRODUCER_TLS_KEY: set both or neither")
	demand(c.Timeout > 0, "PRODUCER_TIMEOUT: want more than 0")
	demand(c.ReadTimeout > 0, "PRODUCER_READ_TIMEOUT: want more than 0")
	demand(c.MaxBodyBytes >= schemas.MaxRawBytes, fmt.Sprintf("PRODUCER_MAX_BODY_BYTES: want at least %d, which is one event", schemas.MaxRawBytes))
	demand(c.MaxMemoryBytes >= c.MaxBodyBytes, "PRODUCER_MAX_MEMORY_BYTES: want at least PRODUCER_MAX_BODY_BYTES")
	demand(c.MaxConnections > 0, "PRODUCER_MAX_CONNECTIONS: want more than 0")
	demand(c.Rate >= 0, "PRODUCER_RATE: want 0 or more")
	return errors.Join(errs...)
}
