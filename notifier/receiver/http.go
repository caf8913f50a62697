package receiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// endpoint is what receivers have in common that are reached by HTTP.
type endpoint struct {
	url       string // as it stands in the file, or
	secretURL secret
	allow     []netip.Prefix
	tls       tlsFiles

	headers       http.Header
	secretHeaders map[string]secret

	bearer   secret
	username string
	password secret
}

// readEndpoint adds the readers of allow, tls and, if plainURL, of what is not a
// secret about the address.
func (d *definition) readEndpoint(known members, e *endpoint, plainURL bool) {
	known["allow"] = func(n *yaml.Node) { e.allow = d.prefixes(n, "allow") }
	known["tls"] = func(n *yaml.Node) { d.readTLS(n, &e.tls) }
	d.secret(known, "url", &e.secretURL)
	if !plainURL {
		return
	}
	e.headers, e.secretHeaders = http.Header{}, map[string]secret{}
	known["url"] = func(n *yaml.Node) { e.url = d.line(n, "url") }
	known["username"] = func(n *yaml.Node) { e.username = d.line(n, "username") }
	d.secret(known, "password", &e.password)
	d.secret(known, "bearer_token", &e.bearer)
	known["headers"] = func(n *yaml.Node) {
		d.pairs(n, "headers", func(n *yaml.Node, key, name, value string) {
			if d.headerName(n, key, name) && secretHeader(name) {
				d.wrongf(n, key, "holds a secret: use headers_file or headers_env")
			}
			e.headers.Set(name, value)
		})
	}
	known["headers_file"] = func(n *yaml.Node) {
		d.pairs(n, "headers_file", func(n *yaml.Node, key, name, value string) {
			d.headerName(n, key, name)
			e.secretHeaders[name] = secret{key: key, file: value}
		})
	}
	known["headers_env"] = func(n *yaml.Node) {
		d.pairs(n, "headers_env", func(n *yaml.Node, key, name, value string) {
			d.headerName(n, key, name)
			e.secretHeaders[name] = secret{key: key, name: value}
		})
	}
}

// finishEndpoint checks what takes all members together.
func (d *definition) finishEndpoint(e *endpoint) {
	switch {
	case e.url == "" && !e.secretURL.isSet():
		d.wrongf(d.node, "", "url_file or url_env is missing")
	case e.url != "" && e.secretURL.isSet():
		d.wrongf(d.at("url"), "url", "set one of url, url_file and url_env")
	case e.url != "":
		if _, err := e.parse(e.url); err != nil {
			d.wrongf(d.at("url"), "url", "%v", err)
		} else if holdsSecret(e.url) {
			d.wrongf(d.at("url"), "url", "holds a secret: use url_file or url_env")
		}
	}
	if (e.username != "") != e.password.isSet() {
		d.wrongf(d.node, "username", "set username and one of password_file and password_env, or none")
	}
	if e.username != "" && e.bearer.isSet() {
		d.wrongf(d.node, "username", "set a bearer token or a user, not both")
	}
}

// definitionEngine looks for secrets where there should be none.
var definitionEngine = sync.OnceValues(NewEngine)

// holdsSecret tells whether the redaction engine would mask a part of an address.
// Without an engine it is no.
func holdsSecret(address string) bool {
	engine, err := definitionEngine()
	if err != nil {
		return false
	}
	quoted, err := json.Marshal(map[string]string{"url": address})
	if err != nil {
		return false
	}
	result, err := engine.RedactJSON(nil, quoted)
	return err == nil && len(result.Masked) > 0
}

// at is where the value of a member stands.
func (d *definition) at(key string) *yaml.Node {
	for i := 0; i+1 < len(d.node.Content); i += 2 {
		if d.node.Content[i].Value == key {
			return d.node.Content[i+1]
		}
	}
	return d.node
}

// parse checks an address. Its errors do not quote it.
func (e *endpoint) parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "":
		return nil, errors.New("is not an address such as https://host/path")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must begin with https:// (or http://, for addresses listed under allow)")
	case u.User != nil:
		return nil, errors.New("must not hold a user or a password: use username and password_file")
	case u.Scheme == "http" && len(e.allow) == 0:
		return nil, errors.New("must begin with https://: without TLS only addresses listed under allow are reached")
	}
	if err := newGuard(e.allow, u.Scheme == "http").checkHost(u.Hostname()); err != nil {
		return nil, err
	}
	return u, nil
}

// headerName checks the name of a header, which must not be one that Sluice sets.
func (d *definition) headerName(n *yaml.Node, key, name string) bool {
	lower := strings.ToLower(name)
	switch {
	case strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || name == "":
		d.wrongf(n, key, "is not the name of a header")
	case lower == "host", lower == "content-length", lower == "transfer-encoding", lower == "connection", lower == "content-type",
		strings.HasPrefix(lower, "webhook-"):
		d.wrongf(n, key, "is set by Sluice")
	default:
		return true
	}
	return false
}

func secretHeader(name string) bool {
	lower := strings.ToLower(name)
	for _, word := range []string{"authorization", "token", "secret", "password", "api-key", "apikey", "cookie", "credential", "routing-key"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// tlsFiles is how to check the other side and to prove who we are.
type tlsFiles struct {
	ca, cert, key, serverName string
}

func (d *definition) readTLS(node *yaml.Node, t *tlsFiles) {
	d.members(node, "tls.", members{
		"ca_file":     func(n *yaml.Node) { t.ca = d.line(n, "tls.ca_file") },
		"cert_file":   func(n *yaml.Node) { t.cert = d.line(n, "tls.cert_file") },
		"key_file":    func(n *yaml.Node) { t.key = d.line(n, "tls.key_file") },
		"server_name": func(n *yaml.Node) { t.serverName = d.line(n, "tls.server_name") },
	})
	if (t.cert == "") != (t.key == "") {
		d.wrongf(node, "tls", "set cert_file and key_file, or neither")
	}
}

func (t tlsFiles) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.serverName}
	if t.ca != "" {
		pem, err := readFile("tls.ca_file", t.ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s has no certificate in PEM", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// client sends to one endpoint.
type client struct {
	http    *http.Client
	url     string
	headers http.Header
}

// open reads the secrets of an endpoint. The path is added to its address.
func (e *endpoint) open(env Env, path string) (*client, error) {
	address, key := e.url, "url"
	if e.secretURL.isSet() {
		var err error
		if address, err = e.secretURL.read(env); err != nil {
			return nil, err
		}
		key = e.secretURL.key
	}
	u, err := e.parse(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	headers, err := e.openHeaders(env)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := e.tls.config()
	if err != nil {
		return nil, err
	}
	return &client{url: u.String(), headers: headers, http: &http.Client{
		Transport: &http.Transport{
			// No proxy: it would look the name up by itself, behind the guard's back.
			Proxy:                  nil,
			DialContext:            newGuard(e.allow, u.Scheme == "http").dialer(env).DialContext,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    connectWait,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxAnswerBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (e *endpoint) openHeaders(env Env) (http.Header, error) {
	headers := e.headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	if headers.Get("User-Agent") == "" {
		headers.Set("User-Agent", "sluice-notifier/"+env.Version)
	}
	for name, s := range e.secretHeaders {
		value, err := s.read(env)
		if err != nil {
			return nil, err
		}
		headers.Set(name, value)
	}
	switch {
	case e.bearer.isSet():
		token, err := e.bearer.read(env)
		if err != nil {
			return nil, err
		}
		headers.Set("Authorization", "Bearer "+token)
	case e.username != "":
		password, err := e.password.read(env)
		if err != nil {
			return nil, err
		}
		headers.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(e.username+":"+password)))
	}
	return headers, nil
}

// maxAnswerBytes is how much of an answer is read, to keep the connection; none
// of it is looked at.
const maxAnswerBytes = 64 << 10

// send makes one request. Its error is a *SendError.
func (c *client) send(ctx context.Context, method, contentType string, body []byte, extra http.Header) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url, bytes.NewReader(body))
	if err != nil {
		return refused("its address cannot be used")
	}
	req.Header = c.headers.Clone()
	req.Header.Set("Content-Type", contentType)
	maps.Copy(req.Header, extra)
	resp, err := c.http.Do(req)
	if err != nil {
		return connectFailure(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswerBytes)
	return answerFailure(resp.StatusCode, resp.Header, time.Now())
}

// Close lets go of the connections.
func (c *client) Close() { c.http.CloseIdleConnections() }
