package receiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/wneessen/go-mail"
	"go.yaml.in/yaml/v3"
)

// How mail is protected on its way to the server.
const (
	securitySTARTTLS = "starttls"
	securityTLS      = "tls"
	securityNone     = "none"
)

// maxRecipients is what every server takes in one mail (RFC 5321, 4.5.3.1.8).
const maxRecipients = 100

// submission is a mail server and who sends by it to whom.
type submission struct {
	host     string
	port     int
	security string
	allow    []netip.Prefix
	tls      tlsFiles
	helo     string
	username string
	password secret
	from     string
	to       []string
	subject  *template.Template
	text     *template.Template
}

// readEmail reads a mail server and addresses.
func readEmail(d *definition) (members, finish) {
	s := submission{security: securitySTARTTLS}
	known := members{
		"host": func(n *yaml.Node) { s.host = d.line(n, "host") },
		"port": func(n *yaml.Node) { s.port = d.number(n, "port", 1, 65535) },
		"security": func(n *yaml.Node) {
			s.security = d.line(n, "security")
			if s.security != securitySTARTTLS && s.security != securityTLS && s.security != securityNone {
				d.wrongf(n, "security", "must be starttls, tls or none")
			}
		},
		"allow":    func(n *yaml.Node) { s.allow = d.prefixes(n, "allow") },
		"tls":      func(n *yaml.Node) { d.readTLS(n, &s.tls) },
		"helo":     func(n *yaml.Node) { s.helo = d.line(n, "helo") },
		"username": func(n *yaml.Node) { s.username = d.line(n, "username") },
		"from":     func(n *yaml.Node) { s.from = d.address(n, "from") },
		"to": func(n *yaml.Node) {
			d.list(n, "to", maxRecipients, func(n *yaml.Node, key string) { s.to = append(s.to, d.address(n, key)) })
		},
		"subject": func(n *yaml.Node) { s.subject = d.template(n, "subject") },
		"text":    func(n *yaml.Node) { s.text = d.template(n, "text") },
	}
	d.secret(known, "password", &s.password)
	return known, func() func(Env) (Sender, error) {
		d.finishEmail(&s)
		return s.open
	}
}

func (d *definition) address(n *yaml.Node, key string) string {
	text := d.line(n, key)
	if _, err := netmail.ParseAddress(text); text != "" && err != nil {
		d.wrongf(n, key, "must be an address such as Sluice <sluice@example.com>")
	}
	return text
}

func (d *definition) finishEmail(s *submission) {
	if s.host == "" {
		d.wrongf(d.node, "", "host is missing")
	} else if err := newGuard(s.allow, s.security == securityNone).checkHost(s.host); err != nil {
		d.wrongf(d.at("host"), "host", "%v", err)
	}
	if s.from == "" || len(s.to) == 0 {
		d.wrongf(d.node, "", "from and to are needed")
	}
	if (s.username != "") != s.password.isSet() {
		d.wrongf(d.node, "username", "set username and one of password_file and password_env, or none")
	}
	if s.security == securityNone && s.username != "" {
		d.wrongf(d.at("security"), "security", "a password is sent by TLS only")
	}
	if s.security == securityNone && len(s.allow) == 0 {
		d.wrongf(d.at("security"), "security", "without TLS only addresses listed under allow are reached")
	}
	if s.port == 0 {
		s.port = map[string]int{securitySTARTTLS: 587, securityTLS: 465, securityNone: 25}[s.security]
	}
}

func (s submission) open(env Env) (Sender, error) {
	password, err := s.password.read(env)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := s.tls.config()
	if err != nil {
		return nil, err
	}
	if tlsConfig.ServerName == "" {
		tlsConfig.ServerName = s.host
	}
	dialer := newGuard(s.allow, s.security == securityNone).dialer(env)
	dial := dialer.DialContext
	options := []mail.Option{mail.WithPort(s.port), mail.WithTLSConfig(tlsConfig)}
	switch s.security {
	case securitySTARTTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case securityTLS:
		dial = (&tls.Dialer{NetDialer: dialer, Config: tlsConfig}).DialContext
		options = append(options, mail.WithSSL())
	case securityNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.helo != "" {
		options = append(options, mail.WithHELO(s.helo))
	}
	if s.username != "" {
		options = append(options, mail.WithUsername(s.username), mail.WithPassword(password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return &email{submission: s, dial: dial, options: options}, nil
}

type email struct {
	submission

	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	options []mail.Option
}

// Close implements Sender; each mail has a connection of its own.
func (e *email) Close() {}

// Send implements Sender. The mail has the same Message-ID at each attempt.
func (e *email) Send(ctx context.Context, n Notice) error {
	msg, err := e.message(n)
	if err != nil {
		return err
	}
	var dialed error // the library wraps it, and not always
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := e.dial(ctx, network, address)
		dialed = err
		if err == nil {
			if deadline, ok := ctx.Deadline(); ok {
				err = conn.SetDeadline(deadline)
			}
		}
		return conn, err
	}
	wait := defaultTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
	}
	options := append(slices.Clone(e.options), mail.WithTimeout(max(wait, time.Millisecond)), mail.WithDialContextFunc(dial))
	client, err := mail.NewClient(e.host, options...)
	if err != nil {
		return refused("its settings cannot be used")
	}
	err = client.DialAndSendWithContext(ctx, msg)
	switch {
	case err == nil, msg.IsDelivered(): // what fails after the server has taken it is no matter
		return nil
	case dialed != nil:
		return connectFailure(dialed)
	}
	return smtpFailure(err)
}

// smtpFailure judges by the server's code and leaves its words out.
func smtpFailure(err error) *SendError {
	var (
		send *mail.SendError
		code *textproto.Error
	)
	answer := 0
	switch {
	case errors.As(err, &send) && send.ErrorCode() != 0:
		answer = send.ErrorCode()
	case errors.As(err, &code):
		answer = code.Code
	}
	what := "the mail server answered " + strconv.Itoa(answer)
	switch {
	case answer >= 500:
		return refused(what)
	case answer >= 400:
		return retryable(what)
	case errors.Is(err, mail.ErrPlainAuthNotSupported), errors.Is(err, mail.ErrLoginAuthNotSupported):
		return retryable("the mail server takes no password by PLAIN or LOGIN")
	case strings.Contains(err.Error(), "STARTTLS"):
		return retryable("the mail server offers no STARTTLS")
	}
	return connectFailure(err)
}

// message is the alert as a mail.
func (e *email) message(n Notice) (*mail.Msg, error) {
	subject, text, err := e.render(n)
	if err != nil {
		return nil, err
	}
	page, err := n.html(text)
	if err != nil {
		return nil, err
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(e.from), msg.To(e.to...)); err != nil {
		return nil, refused("its addresses cannot be used")
	}
	domain := e.from[strings.LastIndexByte(e.from, '@')+1:]
	domain = strings.TrimSuffix(strings.TrimSpace(domain), ">")
	thread := n.thread() + "@" + domain
	msg.SetMessageIDWithValue(n.Alert.ID + "@" + domain)
	msg.SetGenHeader(mail.HeaderInReplyTo, "<"+thread+">")
	msg.SetGenHeader(mail.HeaderReferences, "<"+thread+">")
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetDateWithValue(n.Alert.Time)
	msg.SetUserAgent("sluice-notifier")
	msg.Subject(subject)
	msg.SetBodyString(mail.TypeTextPlain, text)
	msg.AddAlternativeString(mail.TypeTextHTML, page)
	return msg, nil
}

// render returns subject and text. The subject is the same for all mails of one
// trouble, since some programs show them together by it.
func (e *email) render(n Notice) (subject, text string, err error) {
	d := n.Alert.Data
	if e.subject != nil {
		if subject, err = n.render(e.subject); err != nil {
			return "", "", err
		}
	} else {
		subject = fmt.Sprintf("[%s] %s: %s", d.Severity, d.Tenant, d.Title)
	}
	if subject, err = n.redactText(strings.Join(strings.Fields(subject), " ")); err != nil {
		return "", "", err
	}
	if e.text != nil {
		text, err = n.render(e.text)
		return subject, text, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", n.headline())
	for _, f := range n.facts() {
		fmt.Fprintf(&b, "%-13s%s\n", f.name+":", f.value)
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(d.Message))
	text, err = n.redactText(b.String())
	return subject, text, err
}
