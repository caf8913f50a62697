// Package broker is how every part of Sluice talks to NATS JetStream: connect,
// set up streams and consumers, fetch, publish in batches, acknowledge.
//
// It promises that a message reported as published is stored, exactly once under
// its id within the stream's window, and that a message not acknowledged comes
// again. It knows nothing of what the messages hold and never logs it.
package broker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS says how to reach the broker. Every service embeds it in its settings.
type NATS struct {
	URL         string        `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222" desc:"broker address, several separated by commas; tls:// demands TLS" secret:"true"`
	Creds       string        `envconfig:"NATS_CREDS" desc:"file with the credentials (JWT and seed) of this service"`
	NKeyFile    string        `envconfig:"NATS_NKEY_FILE" desc:"file with the nkey seed of this service"`
	User        string        `envconfig:"NATS_USER" desc:"user name"`
	Password    string        `envconfig:"NATS_PASSWORD" desc:"password of NATS_USER" secret:"true"`
	CA          string        `envconfig:"NATS_CA" desc:"file with the certificate authority of the broker, PEM"`
	Cert        string        `envconfig:"NATS_CERT" desc:"file with this service's certificate, PEM"`
	Key         string        `envconfig:"NATS_KEY" desc:"file with the key of NATS_CERT, PEM"`
	InboxPrefix string        `envconfig:"NATS_INBOX_PREFIX" desc:"first token of the subjects to which answers come; empty for _INBOX_ and the service's name"`
	ConnectWait time.Duration `envconfig:"NATS_CONNECT_WAIT" default:"10s" desc:"how long to try the first connection; a lost one is retried for ever"`
	Replicas    int           `envconfig:"NATS_REPLICAS" default:"0" desc:"on how many nodes of a broker's cluster each stream is kept, at least: 1 to 5; 0 is 3 on a cluster and 1 on a single broker"`

	// InProcess connects to an embedded server without a socket.
	InProcess nats.InProcessConnProvider `ignored:"true"`
}

// Validate reports every setting that cannot work.
func (c NATS) Validate() error {
	var errs []error
	for address := range strings.SplitSeq(c.URL, ",") {
		if u, err := url.Parse(strings.TrimSpace(address)); err != nil || u.Host == "" && strings.Contains(address, "://") {
			errs = append(errs, errors.New("NATS_URL: not an address such as nats://127.0.0.1:4222"))
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		errs = append(errs, errors.New("NATS_CERT and NATS_KEY: set both or neither"))
	}
	if c.Password != "" && c.User == "" {
		errs = append(errs, errors.New("NATS_PASSWORD: set NATS_USER too"))
	}
	if c.Replicas < 0 || c.Replicas > maxReplicas {
		errs = append(errs, fmt.Errorf("NATS_REPLICAS: %d, must be 1 to %d, or 0 for what suits the broker", c.Replicas, maxReplicas))
	}
	for name, file := range map[string]string{
		"NATS_CREDS": c.Creds, "NATS_NKEY_FILE": c.NKeyFile, "NATS_CA": c.CA, "NATS_CERT": c.Cert, "NATS_KEY": c.Key,
	} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if strings.ContainsAny(c.InboxPrefix, "*> \t\r\n") || strings.HasSuffix(c.InboxPrefix, ".") {
		errs = append(errs, errors.New("NATS_INBOX_PREFIX: not the beginning of a subject, such as _INBOX_sink"))
	}
	return errors.Join(errs...)
}

// inboxPrefix keeps each service's answers apart from the others', so that the
// broker's permissions can: of a name such as sink-erase the first part counts.
func (c NATS) inboxPrefix(name string) string {
	if c.InboxPrefix != "" {
		return c.InboxPrefix
	}
	service, _, _ := strings.Cut(name, "-")
	return "_INBOX_" + service
}

// Conn is a connection to the broker. It is safe for concurrent use.
type Conn struct {
	NC  *nats.Conn
	JS  jetstream.JetStream
	log *slog.Logger

	other   jetstream.JetStream // of another account, where FindAccounts has found one
	denials *denials
	// certificate is when the first of the broker's certificates ends, in Unix seconds; 0
	// without TLS.
	certificate *atomic.Int64
	// replicas is how many a stream has at least, 0 for what suits the broker.
	replicas int
}

// Connect connects as the named client. The first connection is tried for
// cfg.ConnectWait; one that is lost later is restored in the background, during
// which publishing and acknowledging fail at once instead of being buffered.
func Connect(ctx context.Context, cfg NATS, name string, log *slog.Logger) (*Conn, error) {
	denials, certificate := &denials{}, &atomic.Int64{}
	opts, err := options(cfg, name, denials, log)
	if err != nil {
		return nil, err
	}
	opts = append(opts, noteCertificate(certificate))
	patience, cancel := context.WithTimeout(ctx, max(cfg.ConnectWait, time.Millisecond))
	defer cancel()
	for {
		nc, err := nats.Connect(cfg.URL, opts...)
		if err == nil {
			conn, err := open(nc, denials, log)
			if err == nil {
				conn.replicas, conn.certificate = cfg.Replicas, certificate
			}
			return conn, err
		}
		over := !retryConnect(err) || wait(patience, connectRetry) != nil
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connect to NATS: %w", context.Cause(ctx))
		}
		if over {
			return nil, fmt.Errorf("connect to NATS at %s: %w (%s)", redactURL(cfg.URL), err, connectHint(err))
		}
	}
}

// New uses a connection that the caller has made and keeps.
func New(nc *nats.Conn, log *slog.Logger) (*Conn, error) { return open(nc, &denials{}, log) }

func open(nc *nats.Conn, denials *denials, log *slog.Logger) (*Conn, error) {
	// Without the timeout an answer that never comes would be waited for in memory
	// for ever.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(attemptWait))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &Conn{NC: nc, JS: js, log: log, denials: denials, certificate: &atomic.Int64{}}, nil
}

// connectRetry is short because a broker that starts beside us is up in well
// under a second.
const connectRetry = 200 * time.Millisecond

// retryConnect tells a broker that may come up from one that has refused us.
func retryConnect(err error) bool {
	return !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrSecureConnRequired)
}

// connectHint is what a person can do about a connection that did not come about.
func connectHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return "name the broker's certificate authority in NATS_CA"
	case errors.As(err, &host):
		return "use a name of the broker's certificate in NATS_URL, or make one with that name: KEYS_NAMES of make keys"
	case errors.Is(err, nats.ErrAuthorization):
		return "set NATS_NKEY_FILE, NATS_CREDS or NATS_USER to a user of this broker"
	}
	return "start the broker, or set NATS_URL"
}

// pingEvery is how often the broker is asked whether it is there: one that leaves two
// unanswered is left for another node, after at most three times as long.
const pingEvery = 3 * time.Second

func options(cfg NATS, name string, denials *denials, log *slog.Logger) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name("sluice-" + name),
		nats.CustomInboxPrefix(cfg.inboxPrefix(name)),
		nats.Timeout(5 * time.Second),
		// A node of a cluster that is cut off closes no connection. By the library's
		// defaults that is noticed after four to six minutes.
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		// The second is for connections that may be with TLS, which all are to the library.
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		// A publish that is buffered while the broker is away has no
		// acknowledgement to wait for: fail it, and let the stage repeat it.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("broker connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("broker connection restored", "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if denials.pass(err) {
				return // who asked for it says so
			}
			attrs := []any{"error", err}
			if sub != nil {
				attrs = append(attrs, "subject", sub.Subject)
			}
			log.Warn("broker reported an error", attrs...)
		}),
	}
	switch {
	case cfg.Creds != "":
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	case cfg.NKeyFile != "":
		nkey, err := nats.NkeyOptionFromSeed(cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read NATS_NKEY_FILE: %w", err)
		}
		opts = append(opts, nkey)
	case cfg.User != "":
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.CA != "" {
		opts = append(opts, nats.RootCAs(cfg.CA))
	}
	if cfg.Cert != "" {
		opts = append(opts, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	return opts, nil
}

// Close sends what is still buffered, acknowledgements among it, and closes the
// connection.
func (c *Conn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.Healthy()
	if err == nil {
		err = c.NC.FlushWithContext(ctx)
	}
	if err != nil {
		c.log.Warn("broker did not take the last acknowledgements; they will be redelivered", "error", err)
	}
	c.NC.Close()
}

// Healthy reports whether the broker can be reached now.
func (c *Conn) Healthy() error {
	if !c.NC.IsConnected() {
		return fmt.Errorf("broker connection is %s", strings.ToLower(c.NC.Status().String()))
	}
	return nil
}

// redactURL drops the user and password that a NATS URL may hold.
func redactURL(addresses string) string {
	parts := strings.Split(addresses, ",")
	for i, address := range parts {
		if scheme, rest, ok := strings.Cut(address, "://"); ok {
			parts[i] = scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
		} else {
			parts[i] = address[strings.LastIndex(address, "@")+1:]
		}
	}
	return strings.Join(parts, ",")
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
