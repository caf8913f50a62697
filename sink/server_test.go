package sink

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A ClickHouse whose certificate is of an authority of our own is trusted by
// CLICKHOUSE_CA, and by nothing else.
func TestClickHouseCA(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca, text := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "text")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	native := "clickhouse://sink:hunter2@" + server.Listener.Addr().String()
	for _, tt := range []struct{ url, ca, want string }{
		{server.URL, ca, ""},
		{native + "?secure=true", ca, ""},
		{server.URL, "", "certificate signed by unknown authority"},
		{"http://sink:hunter2@127.0.0.1:8123", ca, "CLICKHOUSE_CA: CLICKHOUSE_URL is not for TLS"},
		{native, ca, "CLICKHOUSE_CA: CLICKHOUSE_URL is not for TLS"},
		{server.URL, filepath.Join(dir, "missing"), "CLICKHOUSE_CA: open " + dir},
		{server.URL, text, "holds no certificate in PEM"},
	} {
		opts, err := ClickHouse{ClickHouseURL: tt.url, ClickHouseCA: tt.ca}.options()
		if err == nil {
			var conn *tls.Conn
			if conn, err = tls.Dial("tcp", server.Listener.Addr().String(), opts.TLS); err == nil {
				_ = conn.Close()
			}
		}
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s with %s: got %v, want %q", tt.url, tt.ca, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Error("the error shows the password")
		}
	}
}

func TestClickHouseUser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, user, password, want string }{
		{"http://127.0.0.1:8123", "sluice_sink", "hunter2", "sluice_sink hunter2"},
		{"http://ann:hunter2@127.0.0.1:8123", "", "", "ann hunter2"},
		{"http://127.0.0.1:8123", "", "", " "},
		{"http://127.0.0.1:8123", "", "hunter2", "CLICKHOUSE_PASSWORD: set CLICKHOUSE_USER too"},
		{"http://ann:hunter2@127.0.0.1:8123", "bob", "hunter2", "CLICKHOUSE_USER: CLICKHOUSE_URL names a user already: keep one of the two"},
	} {
		opts, err := ClickHouse{ClickHouseURL: tt.url, ClickHouseUser: tt.user, ClickHousePassword: tt.password}.options()
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = opts.Auth.Username + " " + opts.Auth.Password
		}
		if got != tt.want {
			t.Errorf("%s, %s: got %q, want %q", tt.url, tt.user, got, tt.want)
		}
	}
}

// Several hosts are one cluster's.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	opts, err := ClickHouse{ClickHouseURL: "clickhouse://sink:hunter2@ch-1:9440,ch-2:9440/?secure=true"}.options()
	if err != nil || strings.Join(opts.Addr, " ") != "ch-1:9440 ch-2:9440" {
		t.Errorf("got %v, %v", opts, err)
	}
}
