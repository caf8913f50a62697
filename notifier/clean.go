package notifier

import (
	"encoding/json"
	"errors"
	"fmt"

	"sluice/redactor/redact"
)

// cleaner puts texts through the redaction engine once more before anybody is
// shown them. It remembers the last, since a flood says the same again and again.
type cleaner struct {
	engine *redact.Engine

	tenant                   string
	title, message           string
	cleanTitle, cleanMessage string
}

func newCleaner() (*cleaner, error) {
	engine, err := redact.New(redact.Config{})
	if err != nil {
		return nil, fmt.Errorf("set up redaction: %w", err)
	}
	return &cleaner{engine: engine}, nil
}

// unchecked stands in place of a text that could not be checked.
const unchecked = "(left out: it could not be checked for credentials)"

// texts returns the texts with every credential masked.
func (c *cleaner) texts(tenant, title, message string) (cleanTitle, cleanMessage string) {
	if tenant != c.tenant || title != c.title || message != c.message {
		c.tenant, c.title, c.message = tenant, title, message
		var err error
		if c.cleanTitle, c.cleanMessage, err = c.redact(tenant, title, message); err != nil {
			c.cleanTitle, c.cleanMessage = unchecked, unchecked
		}
	}
	return c.cleanTitle, c.cleanMessage
}

// redact lets the engine see each text as a member of an event that means nothing
// by its name.
func (c *cleaner) redact(tenant, title, message string) (cleanTitle, cleanMessage string, err error) {
	text, err := json.Marshal(map[string]string{"title": title, "message": message})
	if err != nil {
		return "", "", fmt.Errorf("encode texts: %w", err)
	}
	result, err := c.engine.For(tenant).RedactJSON(nil, text)
	if err != nil {
		return "", "", fmt.Errorf("redact texts: %w", err)
	}
	var clean struct {
		Title   *string `json:"title"`
		Message *string `json:"message"`
	}
	if err := json.Unmarshal(result.Clean, &clean); err != nil || clean.Title == nil || clean.Message == nil {
		return "", "", errors.New("redact texts: they are no texts any more")
	}
	return *clean.Title, *clean.Message, nil
}
