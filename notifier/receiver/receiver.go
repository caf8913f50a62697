// Package receiver is where alerts go: a NATS subject, a webhook, Slack, Discord,
// Microsoft Teams, email, Prometheus Alertmanager.
//
// It owns what a receiver can be told in the configuration, what an alert looks
// like there, and what an answer means for trying again. It promises that no
// address is reached that is not public or allowed by name (checked when the
// connection is made, so that no name and no redirect leads around it), that
// everything rendered went through the redaction engine, and that no error and no
// log line holds a secret, a webhook's address or a part of an alert. It refuses
// to try again by itself, to keep anything, and to follow redirects: package
// outbox decides when an alert is sent.
package receiver

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/internal/broker"
	"sluice/redactor/redact"
	"sluice/schemas"
)

// Schema is the JSON Schema (2020-12) of the member receivers.
//
//go:embed schema.json
var Schema []byte

// Receiver is the definition of one receiver: checked, but with no secret read
// and nothing opened.
type Receiver struct {
	// Name is what rules call it; it is also in its consumer's name, in subjects
	// and in metrics.
	Name string
	// Type is the kind of receiver: nats, webhook, slack, discord, teams, email or
	// alertmanager.
	Type string
	// Rate is how often it is sent to at most.
	Rate Rate
	// Timeout is how long one attempt may take.
	Timeout time.Duration
	// SendUpdates and SendResolved tell whether it gets alerts that say a trouble
	// goes on, and that it is over.
	SendUpdates, SendResolved bool

	open func(Env) (Sender, error)
}

// Rate is a number of alerts in a time.
type Rate struct {
	Alerts int
	Per    time.Duration
}

// Sender is a receiver that is ready. It is used by one goroutine at a time.
type Sender interface {
	// Send makes one attempt. An error is a *SendError, which says what to do.
	Send(ctx context.Context, n Notice) error
	// Close lets go of its connections.
	Close()
}

// Env is what receivers need of the process.
type Env struct {
	// Broker is for receivers of type nats.
	Broker *broker.Conn
	// Engine is what everything goes through that is sent. It must take texts of
	// schemas.MaxPayloadBytes.
	Engine *redact.Engine
	// LookupEnv reads an environment variable; nil is os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
	// Version is for the User-Agent.
	Version string
}

// NewEngine returns a redaction engine for Env.
func NewEngine() (*redact.Engine, error) {
	return redact.New(redact.Config{MaxBytes: schemas.MaxPayloadBytes})
}

// Open reads the receiver's secrets and makes it ready. It reaches nobody.
func (r Receiver) Open(env Env) (Sender, error) {
	if env.LookupEnv == nil {
		env.LookupEnv = os.LookupEnv
	}
	s, err := r.open(env)
	if err != nil {
		return nil, fmt.Errorf("receiver %s: %w", r.Name, err)
	}
	return s, nil
}

// Wants tells whether the receiver is to get alerts of the type.
func (r Receiver) Wants(alertType string) bool {
	switch alertType {
	case schemas.AlertUpdate:
		return r.SendUpdates
	case schemas.AlertResolved:
		return r.SendResolved
	}
	return true
}

// kind is what a type of receiver is made by.
type kind struct {
	// rate is what the service at the other end bears.
	rate Rate
	// read reads the members of its own, on top of the common ones.
	read func(d *definition) (members, finish)
}

type (
	// members are readers by key.
	members map[string]func(*yaml.Node)
	// finish checks the whole once all members are read, and returns how to open it.
	finish func() func(Env) (Sender, error)
)

// The rates are those that the services publish: Slack one message a second for a
// webhook, Discord 30 a minute, Teams 4 a second; one mail a second is what most
// submission servers take. The others are guards against a loop.
var kinds = map[string]kind{
	"nats":         {Rate{100, time.Second}, readNATS},
	"webhook":      {Rate{10, time.Second}, readWebhook},
	"slack":        {Rate{1, time.Second}, readSlack},
	"discord":      {Rate{30, time.Minute}, readDiscord},
	"teams":        {Rate{1, time.Second}, readTeams},
	"email":        {Rate{1, time.Second}, readEmail},
	"alertmanager": {Rate{10, time.Second}, readAlertmanager},
}

// nameForm is what fits into a consumer's name and a subject's token.
var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

const (
	defaultTimeout = 10 * time.Second
	// maxTimeout keeps one attempt from holding a stopping notifier.
	maxTimeout = time.Minute
)

// Parse reads the definition of one receiver. The error joins all that is wrong
// with it, each a *ParseError with its line.
func Parse(name string, node *yaml.Node) (Receiver, error) {
	r := Receiver{Name: name, Timeout: defaultTimeout, SendUpdates: true, SendResolved: true}
	d := &definition{path: "receivers." + name}
	if !nameForm.MatchString(name) {
		d.wrongf(node, "", "a receiver's name is 1 to 64 of a-z, 0-9 and -")
	}
	if node.Kind != yaml.MappingNode {
		d.wrongf(node, "", "must be a mapping with a type")
		return Receiver{}, d.err()
	}
	r.Type = typeOf(node)
	k, ok := kinds[r.Type]
	if !ok {
		d.wrongf(node, "type", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		return Receiver{}, d.err()
	}
	r.Rate = k.rate
	known, done := k.read(d)
	maps.Copy(known, members{
		"type":          func(*yaml.Node) {},
		"rate":          func(n *yaml.Node) { r.Rate = d.rate(n, "rate", r.Rate) },
		"timeout":       func(n *yaml.Node) { r.Timeout = d.duration(n, "timeout", time.Second, maxTimeout) },
		"send_updates":  func(n *yaml.Node) { r.SendUpdates = d.boolean(n, "send_updates") },
		"send_resolved": func(n *yaml.Node) { r.SendResolved = d.boolean(n, "send_resolved") },
	})
	d.node = node
	d.members(node, "", known)
	r.open = done()
	if err := d.err(); err != nil {
		return Receiver{}, err
	}
	return r, nil
}

func typeOf(node *yaml.Node) string {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == "type" {
			return node.Content[i+1].Value
		}
	}
	return ""
}

// ParseAll reads the member receivers of a configuration, a mapping of names to
// definitions, in the order of the file.
func ParseAll(node *yaml.Node) ([]Receiver, error) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil, nil
	}
	if node.Kind != yaml.MappingNode {
		return nil, &ParseError{Line: node.Line, Path: "receivers", What: "must be a mapping of names to receivers"}
	}
	var (
		out  []Receiver
		errs []error
		seen = map[string]bool{}
	)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		if seen[name] {
			errs = append(errs, &ParseError{Line: node.Content[i].Line, Path: "receivers." + name, What: "stands there twice"})
			continue
		}
		seen[name] = true
		r, err := Parse(name, node.Content[i+1])
		out, errs = append(out, r), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}
