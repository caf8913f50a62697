package notifier

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/notifier/rules"
	"sluice/schemas"
)

// Silence says that nobody is to be told of some alerts for a while. What comes
// in the meantime is counted in the groups that are open and opens no new ones.
type Silence struct {
	ID string `json:"id"`
	// Matchers must all hold: names and values as in ParseMatchers.
	Matchers  map[string]string `json:"matchers"`
	CreatedAt time.Time         `json:"created_at"`
	Until     time.Time         `json:"until"`
	Author    string            `json:"author,omitempty"`
	Comment   string            `json:"comment,omitempty"`
}

// silenceable are the names that a matcher may have.
var silenceable = []string{"tenant", "action", "app", "rule", "severity", "fingerprint", "group"}

const (
	// maxSilence keeps one that was forgotten from hiding things for ever.
	maxSilence = 366 * 24 * time.Hour
	// maxSilenceText is how long a value, an author or a comment may be.
	maxSilenceText = 512
)

// ParseMatchers reads matchers of the form name=value; a * in a value stands for
// any text.
func ParseMatchers(texts []string) (map[string]string, error) {
	matchers := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("%q: want NAME=VALUE, the name one of %s", text, strings.Join(silenceable, ", "))
		}
		if _, twice := matchers[name]; twice {
			return nil, fmt.Errorf("%s: stands there twice", name)
		}
		matchers[name] = value
	}
	return matchers, nil
}

// Validate says what is wrong with a silence.
func (s *Silence) Validate() error {
	if len(s.Matchers) == 0 {
		return fmt.Errorf("a silence needs at least one matcher NAME=VALUE, the name one of %s", strings.Join(silenceable, ", "))
	}
	for name, value := range s.Matchers {
		switch {
		case !slices.Contains(silenceable, name):
			return fmt.Errorf("matcher %q: the name must be one of %s", name, strings.Join(silenceable, ", "))
		case value == "" && name != "app":
			return fmt.Errorf("matcher %s: the value is empty", name)
		case !plainText(value):
			return fmt.Errorf("matcher %s: at most %d characters on one line", name, maxSilenceText)
		}
	}
	switch took := s.Until.Sub(s.CreatedAt); {
	case took <= 0:
		return errors.New("the duration must be more than nothing")
	case took > maxSilence:
		return fmt.Errorf("the duration must be at most %s", maxSilence)
	case !plainText(s.Author) || !plainText(s.Comment):
		return fmt.Errorf("author and comment: at most %d characters on one line", maxSilenceText)
	}
	return nil
}

func plainText(text string) bool {
	return len(text) <= maxSilenceText && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// subject is what a silence can be about.
type subject struct {
	tenant, action, app, rule, fingerprint, group string
	severity                                      schemas.Severity
}

func (g *group) subject() subject {
	return subject{g.Tenant, g.Action, g.App, g.Rule, g.Fingerprint, g.key, g.Severity}
}

func (o *observation) subject() subject {
	return subject{o.tenant, o.action, o.app, o.rule, o.fingerprint.text, o.key, o.severity}
}

// covers tells whether the silence is in force and about that.
func (s *Silence) covers(about *subject, now time.Time) bool {
	if !now.Before(s.Until) {
		return false
	}
	for name, pattern := range s.Matchers {
		ok := false
		switch name {
		case "tenant":
			ok = rules.Glob(pattern, about.tenant)
		case "action":
			ok = rules.Glob(pattern, about.action)
		case "app":
			ok = rules.Glob(pattern, about.app)
		case "rule": // any of those that matched
			ok = slices.ContainsFunc(strings.Split(about.rule, ","), func(rule string) bool { return rules.Glob(pattern, rule) })
		case "severity":
			ok = rules.Glob(pattern, string(about.severity))
		case "fingerprint":
			ok = rules.Glob(pattern, about.fingerprint)
		case "group":
			ok = rules.Glob(pattern, about.group)
		}
		if !ok {
			return false
		}
	}
	return len(s.Matchers) > 0
}

// acknowledgement is somebody's word that they take care.
type acknowledgement struct {
	By      string    `json:"by,omitempty"`
	Comment string    `json:"comment,omitempty"`
	At      time.Time `json:"at"`
}
