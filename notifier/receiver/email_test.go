package receiver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"sluice/schemas"
)

// mailServer is a real SMTP server that remembers its mails.
type mailServer struct {
	mu         sync.Mutex
	mails      []envelope
	refuseRcpt *smtp.SMTPError
	addr       string
}

type envelope struct {
	user, from string
	to         []string
	data       []byte
}

// NewSession implements smtp.Backend.
func (s *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &mailSession{server: s}, nil
}

type mailSession struct {
	envelope

	server *mailServer
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "s3cret" {
			return &smtp.SMTPError{Code: 535, Message: "no, " + password}
		}
		s.user = user
		return nil
	}), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.refuseRcpt != nil {
		return s.server.refuseRcpt
	}
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) (err error) {
	if s.data, err = io.ReadAll(r); err == nil {
		s.server.mu.Lock()
		s.server.mails = append(s.server.mails, s.envelope)
		s.server.mu.Unlock()
	}
	return err
}

func (s *mailSession) Reset()        { s.envelope = envelope{user: s.user} }
func (s *mailSession) Logout() error { return nil }

// startMail starts one: without TLS, with STARTTLS or in TLS from the start.
func startMail(t *testing.T, security string) (server *mailServer, dir string) {
	t.Helper()
	server, dir = &mailServer{}, t.TempDir()
	s := smtp.NewServer(server)
	s.Domain = "localhost"
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.addr = l.Addr().String()
	if security != securityNone {
		ca, caKey := certificate(t, dir, "ca", nil, nil)
		cert, key := certificate(t, dir, "server", ca, caKey)
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	}
	if security == securityTLS {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return server, dir
}

func (s *mailServer) definition(security, dir string) string {
	host, port, _ := net.SplitHostPort(s.addr)
	text := "type: email\nhost: " + host + "\nport: " + port + "\nsecurity: " + security + "\n" + loopback +
		"from: Sluice <sluice@example.com>\nto: [a@example.com, 'B <b@example.org>']\n"
	if security != securityNone {
		text += "username: sluice\npassword_env: PASSWORD\ntls: {ca_file: " + dir + "/ca.crt}\n"
	}
	return text
}

func TestEmail(t *testing.T) {
	for _, security := range []string{securityNone, securitySTARTTLS, securityTLS} {
		t.Run(security, func(t *testing.T) {
			server, dir := startMail(t, security)
			s := open(t, map[string]string{"PASSWORD": "s3cret"}, server.definition(security, dir))
			n := notice(t, nil)
			mustSend(t, s, n)
			got := server.mails[0]
			if got.from != "sluice@example.com" || strings.Join(got.to, " ") != "a@example.com b@example.org" {
				t.Errorf("from %s to %v", got.from, got.to)
			}
			if security != securityNone && got.user != "sluice" {
				t.Errorf("logged in as %q", got.user)
			}
			msg, parts := readMail(t, got.data)
			for name, want := range map[string]string{
				"Message-ID": "<" + n.Alert.ID + "@example.com>", "Auto-Submitted": "auto-generated",
				"Subject": "[alert] default: ValueError: amount 17 is too <small>", "Date": "Sun, 01 Mar 2026 12:00:00 +0000",
			} {
				if msg.Header.Get(name) != want {
					t.Errorf("%s: got %q, want %q", name, msg.Header.Get(name), want)
				}
			}
			if !strings.Contains(parts["text/plain"], "amount 17 is too <small>") {
				t.Errorf("text: %s", parts["text/plain"])
			}
			if page := parts["text/html"]; !strings.Contains(page, "amount 17 is too &lt;small&gt;") || strings.Contains(page, "<small>") {
				t.Errorf("html: %s", page)
			}
		})
	}
}

// Mails about one trouble refer to the same one, whatever they say of it; a mail
// that is sent again has the id it had; another trouble is another thread.
func TestEmailThreads(t *testing.T) {
	server, dir := startMail(t, securityNone)
	s := open(t, nil, server.definition(securityNone, dir))
	for _, change := range []func(*schemas.Alert){
		nil,
		nil,
		func(a *schemas.Alert) { a.ID, a.Type, a.Data.Count = "b", schemas.AlertUpdate, 7 },
		func(a *schemas.Alert) { a.ID, a.Type, a.Data.Count = "c", schemas.AlertResolved, 7 },
		func(a *schemas.Alert) { a.ID, a.Data.Fingerprint = "d", "v1:00" },
	} {
		mustSend(t, s, notice(t, change))
	}
	var ids, threads, subjects []string
	for _, m := range server.mails {
		msg, _ := readMail(t, m.data)
		ids, subjects = append(ids, msg.Header.Get("Message-ID")), append(subjects, msg.Header.Get("Subject"))
		if msg.Header.Get("In-Reply-To") != msg.Header.Get("References") {
			t.Errorf("in reply to %s, refers to %s", msg.Header.Get("In-Reply-To"), msg.Header.Get("References"))
		}
		threads = append(threads, msg.Header.Get("References"))
	}
	if ids[0] != ids[1] || ids[1] == ids[2] || ids[2] == ids[3] {
		t.Errorf("ids: %v", ids)
	}
	if threads[0] == "" || threads[0] != threads[2] || threads[0] != threads[3] || threads[0] == threads[4] {
		t.Errorf("threads: %v", threads)
	}
	if subjects[0] != subjects[2] || subjects[0] != subjects[3] {
		t.Errorf("subjects: %q", subjects)
	}
}

func TestEmailFailures(t *testing.T) {
	tests := []struct {
		name     string
		security string
		password string
		refuse   *smtp.SMTPError
		want     string
		verdict  Verdict
	}{
		{"mailbox unknown", securityNone, "", &smtp.SMTPError{Code: 550, Message: "who is a@example.com?"}, "the mail server answered 550", Refused},
		{"mailbox busy", securityNone, "", &smtp.SMTPError{Code: 450, Message: "later, a@example.com"}, "the mail server answered 450", Retry},
		{"wrong password", securitySTARTTLS, "wr0ng", nil, "the mail server answered 535", Refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, dir := startMail(t, tt.security)
			server.refuseRcpt = tt.refuse
			err := send(t, open(t, map[string]string{"PASSWORD": tt.password}, server.definition(tt.security, dir)), notice(t, nil))
			var f *SendError
			if !errors.As(err, &f) || f.What != tt.want || f.Verdict != tt.verdict {
				t.Errorf("got %v", err)
			}
		})
	}
	server, dir := startMail(t, securityNone)
	definition := strings.Replace(server.definition(securityNone, dir), "security: none", "security: starttls", 1)
	if err := send(t, open(t, nil, definition), notice(t, nil)); err == nil || err.Error() != "the mail server offers no STARTTLS" {
		t.Errorf("without STARTTLS: got %v", err)
	}
}

// The mail server's name leads inside.
func TestEmailIsGuarded(t *testing.T) {
	for security, want := range map[string]string{securitySTARTTLS: "refused: it is not public", securityTLS: "refused: it is not public"} {
		r, err := parse("type: email\nhost: mail.example.com\nfrom: a@b\nto: a@b\nsecurity: " + security)
		if err != nil {
			t.Fatal(err)
		}
		env := testEnv(t, nil)
		env.Resolver = &net.Resolver{PreferGo: true, Dial: nameServer(t, []string{"127.0.0.1"})}
		s, err := r.Open(env)
		if err != nil {
			t.Fatal(err)
		}
		var f *SendError
		if err := send(t, s, notice(t, nil)); !errors.As(err, &f) || f.Verdict != Refused || !strings.Contains(f.What, want) {
			t.Errorf("%s: got %v", security, err)
		}
	}
}

func readMail(t *testing.T, data []byte) (*netmail.Message, map[string]string) {
	t.Helper()
	msg, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		media, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		parts[media] = string(text)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	msg.Header["Subject"] = []string{subject}
	return msg, parts
}
