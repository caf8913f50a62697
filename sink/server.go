package sink

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"sluice/internal/daemon"
)

// ClickHouse says how to reach ClickHouse, and where in it the table is.
type ClickHouse struct {
	ClickHouseURL      string `envconfig:"CLICKHOUSE_URL" default:"http://127.0.0.1:8123" desc:"ClickHouse as a clickhouse-go DSN: http://, https:// or clickhouse:// (with secure=true for TLS); several hosts separated by commas; a database in it is ignored" secret:"true"`
	ClickHouseUser     string `envconfig:"CLICKHOUSE_USER" desc:"user name, instead of one in CLICKHOUSE_URL"`
	ClickHousePassword string `envconfig:"CLICKHOUSE_PASSWORD" desc:"password of CLICKHOUSE_USER" secret:"true"`
	ClickHouseCA       string `envconfig:"CLICKHOUSE_CA" desc:"file with the certificate authority of ClickHouse, PEM, instead of the system's"`
	// Cluster is a name of system.clusters.
	Cluster string `envconfig:"SINK_CLUSTER" desc:"name of ClickHouse's cluster that holds the table, on every shard and replica (deploy/cluster/clickhouse); empty for one server"`
}

func (c ClickHouse) validate() error {
	_, err := c.options()
	return errors.Join(err, c.placement().validate())
}

// Options is how clickhouse-go connects by these settings, for whoever reads the table.
func (c ClickHouse) Options() (*clickhouse.Options, error) { return c.options() }

// options reads the settings. Its errors do not repeat the address, as it may hold a
// password.
func (c ClickHouse) options() (*clickhouse.Options, error) {
	bad := errors.New("CLICKHOUSE_URL: not an address such as http://127.0.0.1:8123 or clickhouse://user:password@host:9000")
	u, err := url.Parse(c.ClickHouseURL)
	if err != nil || u.Host == "" {
		return nil, bad
	}
	params := u.Query()
	switch u.Scheme {
	case "http", "clickhouse":
	case "https":
		if !params.Has("secure") {
			params.Set("secure", "true")
		}
	default:
		return nil, bad
	}
	u.RawQuery = params.Encode()
	opts, err := clickhouse.ParseDSN(u.String())
	if err != nil {
		return nil, fmt.Errorf("CLICKHOUSE_URL: clickhouse-go does not accept its parameters (%s)", parameterNames(params))
	}
	if err := c.identify(opts); err != nil {
		return nil, err
	}
	if err := c.trust(opts); err != nil {
		return nil, err
	}
	// Every statement names the database, which does not exist before the first
	// migration.
	opts.Auth.Database = ""
	if opts.Compression == nil && !params.Has("compress") {
		opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	if !params.Has("dial_timeout") {
		opts.DialTimeout = 5 * time.Second
	}
	opts.ClientInfo.Products = append(opts.ClientInfo.Products, struct{ Name, Version string }{"sluice-sink", daemon.Version})
	return opts, nil
}

// identify takes the user of the settings, so that the address may be without a secret.
func (c ClickHouse) identify(opts *clickhouse.Options) error {
	switch {
	case c.ClickHouseUser == "" && c.ClickHousePassword != "":
		return errors.New("CLICKHOUSE_PASSWORD: set CLICKHOUSE_USER too")
	case c.ClickHouseUser == "":
		return nil
	case opts.Auth.Password != "":
		return errors.New("CLICKHOUSE_USER: CLICKHOUSE_URL names a user already: keep one of the two")
	}
	opts.Auth.Username, opts.Auth.Password = c.ClickHouseUser, c.ClickHousePassword
	return nil
}

// trust takes the authority of the settings instead of the system's, which the driver's
// DSN has no parameter for.
func (c ClickHouse) trust(opts *clickhouse.Options) error {
	if c.ClickHouseCA == "" {
		return nil
	}
	if opts.TLS == nil {
		return errors.New("CLICKHOUSE_CA: CLICKHOUSE_URL is not for TLS: make it https:// or add secure=true")
	}
	pem, err := os.ReadFile(c.ClickHouseCA)
	if err != nil {
		return fmt.Errorf("CLICKHOUSE_CA: %w", err)
	}
	opts.TLS.RootCAs = x509.NewCertPool()
	if !opts.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("CLICKHOUSE_CA: %s holds no certificate in PEM", c.ClickHouseCA)
	}
	return nil
}

func parameterNames(params url.Values) string {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
