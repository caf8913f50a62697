package receiver

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestWebhookSendsTheCloudEvent(t *testing.T) {
	p := newPeer(t, nil)
	n := notice(t, nil)
	mustSend(t, open(t, map[string]string{"TOKEN": "t0ken"}, "type: webhook\nurl: "+p.URL+"/in?team=a\n"+loopback+
		"method: PUT\nheaders: {X-Team: a}\nheaders_env: {X-Api-Key: TOKEN}"), n)
	got := p.last(t)
	if got.method != http.MethodPut || got.path != "/in?team=a" || string(got.body) != string(n.Body) {
		t.Errorf("got %s %s %s", got.method, got.path, got.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/cloudevents+json; charset=utf-8", "X-Team": "a", "X-Api-Key": "t0ken",
		"Webhook-Id": n.Alert.ID, "Webhook-Signature": "", "Traceparent": n.TraceParent, "User-Agent": "sluice-notifier/test",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.header.Get(name), want)
		}
	}
}

// Both active secrets verify by the library of Standard Webhooks, another does not.
func TestWebhookSignature(t *testing.T) {
	secrets := map[string]string{
		"OLD": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "NEW": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfgh1RKcKs=",
	}
	p := newPeer(t, nil)
	s := open(t, secrets, "type: webhook\nurl: "+p.URL+"\n"+loopback+"signing_secrets_env: [NEW, OLD]")
	mustSend(t, s, notice(t, nil))
	got := p.last(t)
	for name, secret := range secrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.Verify(got.body, got.header); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := hook.Verify(append(got.body, ' '), got.header); err == nil {
			t.Errorf("%s verifies a body that was changed", name)
		}
	}
	other, err := standardwebhooks.NewWebhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	if other.Verify(got.body, got.header) == nil {
		t.Error("a secret that is not ours verifies")
	}
}

func TestWebhookTemplate(t *testing.T) {
	p := newPeer(t, nil)
	s := open(t, nil, "type: webhook\nurl: "+p.URL+"\n"+loopback+
		"body: '{\"title\":{{json .data.title}},\"many\":{{if gt .data.count 1}}true{{else}}false{{end}},\"user\":{{json (get . \"data.event.user.name\")}},\"state\":{{json .state}}}'")
	mustSend(t, s, notice(t, nil))
	got := p.last(t)
	want := `{"title":"ValueError: amount 17 is too <small>","many":false,"user":"","state":"firing"}`
	if string(got.body) != want || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %s", got.header.Get("Content-Type"), got.body)
	}
}

func TestAnswers(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		status     int
		retryAfter string
		verdict    Verdict
		after      time.Duration
	}{
		{400, "", Refused, 0},
		{401, "60", Refused, 0},
		{404, "", Refused, 0},
		{408, "", Retry, 0},
		{410, "", Gone, 0},
		{413, "", Refused, 0},
		{429, "", Retry, 0},
		{429, "17", Retry, 17 * time.Second},
		{429, "0.25", Retry, 250 * time.Millisecond},
		{429, "-5", Retry, 0},
		{429, "soon", Retry, 0},
		{429, "NaN", Retry, 0},
		{429, "1e300", Retry, 24 * time.Hour},
		{503, now.Add(time.Minute).Format(http.TimeFormat), Retry, time.Minute},
		{503, now.Add(-time.Minute).Format(http.TimeFormat), Retry, 0},
		{500, "", Retry, 0},
		{301, "", Refused, 0},
		{304, "", Refused, 0},
	}
	for _, tt := range tests {
		var got *SendError
		if !errors.As(answerFailure(tt.status, http.Header{"Retry-After": {tt.retryAfter}}, now), &got) {
			t.Errorf("%d is no failure", tt.status)
			continue
		}
		if got.Verdict != tt.verdict || tt.verdict == Retry && got.After != tt.after {
			t.Errorf("%d %q: got %v after %s, want %v after %s", tt.status, tt.retryAfter, got.Verdict, got.After, tt.verdict, tt.after)
		}
	}
	for _, status := range []int{200, 202, 204} {
		if err := answerFailure(status, nil, now); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A redirect is not followed, wherever it leads.
func TestRedirectIsNotFollowed(t *testing.T) {
	target := newPeer(t, nil)
	for _, to := range []string{target.URL, "http://169.254.169.254/latest/meta-data/"} {
		p := newPeer(t, nil)
		p.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
		err := send(t, open(t, nil, "type: webhook\nurl: "+p.URL+"\n"+loopback), notice(t, nil))
		var f *SendError
		if !errors.As(err, &f) || f.Verdict != Refused || !strings.Contains(f.What, "redirects are not followed") {
			t.Errorf("%s: got %v", to, err)
		}
	}
	if len(target.got) > 0 {
		t.Error("the redirect was followed")
	}
}

// A peer that answers without end costs a bounded read.
func TestAnswerIsCapped(t *testing.T) {
	p := newPeer(t, nil)
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	mustSend(t, open(t, nil, "type: webhook\nurl: "+p.URL+"\n"+loopback), notice(t, nil))
}

// The peer has a certificate of its own authority, and wants one of us.
func TestWebhookWithCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "client", ca, caKey)
	server, serverKey := certificate(t, dir, "server", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	p := newPeer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
		}
		s.StartTLS()
	})
	definition := "type: webhook\nurl: " + p.URL + "\n" + loopback
	with := definition + "tls: {ca_file: " + dir + "/ca.crt, cert_file: " + dir + "/client.crt, key_file: " + dir + "/client.key}"
	mustSend(t, open(t, nil, with), notice(t, nil))
	err := send(t, open(t, nil, definition), notice(t, nil))
	if err == nil || !strings.Contains(err.Error(), "tls.ca_file") {
		t.Errorf("without its authority: got %v", err)
	}
	if err := send(t, open(t, nil, definition+"tls: {ca_file: "+dir+"/ca.crt}"), notice(t, nil)); err == nil {
		t.Error("without our certificate it goes through")
	}
}

// certificate writes name.crt and name.key.
func certificate(t *testing.T, dir, name string, ca *x509.Certificate, caKey *rsa.PrivateKey) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        ca == nil, BasicConstraintsValid: true,
	}
	if ca == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
