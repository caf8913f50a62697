// Command clickhouse-server stands in for ClickHouse's own in the test stack of
// containers: the embedded engine with what that one leaves to a server, TLS and
// passwords. It looks for its keys where docker-compose.yml puts them, and stores
// where the server does. It knows no roles and no native protocol: what the server's
// users may do is for tests of deploy/clickhouse.
package main

import (
	"bufio"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice/internal/daemon"
)

const (
	addr       = ":8443"
	engine     = "/usr/bin/clickhouse-embedded"
	engineAddr = "127.0.0.1:8123"
	dataDir    = "/var/lib/clickhouse/engine"
	keysDir    = "/etc/clickhouse-server/keys"
	// engineMiB leaves half of the container's memory to what the engine does not count.
	engineMiB = "2048"
)

func main() { os.Exit(daemon.Main("clickhouse-server", run)) }

// run takes the server's arguments and needs none of them.
func run(ctx context.Context, _ []string) error {
	passwords, err := readPasswords()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, err := startEngine(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: addr, Handler: front(passwords), ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	served := make(chan error, 1)
	go func() {
		served <- server.ListenAndServeTLS(filepath.Join(keysDir, "clickhouse.pem"), filepath.Join(keysDir, "clickhouse-key.pem"))
	}()
	select {
	case err = <-served:
		cancel()
		return errors.Join(fmt.Errorf("serve: %w", err), <-ended)
	case err = <-ended:
		if ctx.Err() != nil {
			err = nil
		}
		return errors.Join(err, server.Close())
	}
}

// startEngine starts the engine and waits until it serves. It ends when ctx does.
func startEngine(ctx context.Context) (ended <-chan error, err error) {
	cmd := exec.CommandContext(ctx, engine, "-addr", engineAddr, "-path", dataDir, "-memory", engineMiB)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // whose end would tell the engine to stop
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if !strings.HasPrefix(line, "ready ") {
		return nil, fmt.Errorf("the engine does not get ready: %w", errors.Join(err, cmd.Wait()))
	}
	done := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		done <- cmd.Wait()
	}()
	return done, nil
}

func readPasswords() (map[string]string, error) {
	passwords := map[string]string{}
	for _, user := range []string{"sink", "analyst", "admin"} {
		text, err := os.ReadFile(filepath.Join(keysDir, "clickhouse-"+user+".password"))
		if err != nil {
			return nil, err
		}
		passwords["sluice_"+user] = strings.TrimSpace(string(text))
	}
	return passwords, nil
}

// front lets in who has a password, and passes on the rest without it: the engine
// knows one user, who has none.
func front(passwords map[string]string) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: engineAddr})
		for _, name := range []string{"Authorization", "X-Clickhouse-User", "X-Clickhouse-Key"} {
			r.Out.Header.Del(name)
		}
		query := r.Out.URL.Query()
		query.Del("user")
		query.Del("password")
		r.Out.URL.RawQuery = query.Encode()
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password := credentials(r)
		want, known := passwords[user]
		if r.URL.Path != "/ping" && (!known || subtle.ConstantTimeCompare([]byte(password), []byte(want)) != 1) {
			w.Header().Set("X-Clickhouse-Exception-Code", "516")
			http.Error(w, "Code: 516. DB::Exception: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// credentials are in one of the three places where ClickHouse looks for them.
func credentials(r *http.Request) (user, password string) {
	if user := r.Header.Get("X-Clickhouse-User"); user != "" {
		return user, r.Header.Get("X-Clickhouse-Key")
	}
	if user, password, ok := r.BasicAuth(); ok {
		return user, password
	}
	return r.URL.Query().Get("user"), r.URL.Query().Get("password")
}
