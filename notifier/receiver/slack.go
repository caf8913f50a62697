package receiver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Slack cuts an attachment's text; its documentation advises against more than
// 3000 characters in a block.
const slackTextChars = 3000

// readSlack reads an incoming webhook of Slack, or of what speaks its language:
// Mattermost, Rocket.Chat.
func readSlack(d *definition) (members, finish) {
	return readChat(d, func(n Notice, text string) any {
		fields := []map[string]any{}
		for _, f := range n.facts() {
			fields = append(fields, map[string]any{"title": f.name, "value": slackEscape(f.value), "short": true})
		}
		headline := slackEscape(n.headline())
		return map[string]any{
			"text":         headline,
			"unfurl_links": false, "unfurl_media": false,
			"attachments": []any{map[string]any{
				"color": fmt.Sprintf("#%06x", n.color()), "fallback": headline,
				"text": cut(text, slackTextChars), "mrkdwn_in": []string{}, "fields": fields, "ts": n.Alert.Time.Unix(),
			}},
		}
	}, slackEscape)
}

// slackEscape keeps text from being a mention or a link.
func slackEscape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// readChat reads a receiver that posts messages of a form of its own to an
// address that is a secret.
func readChat(d *definition, form func(n Notice, text string) any, escape func(string) string) (members, finish) {
	var (
		at   endpoint
		text *template.Template
	)
	known := members{"text": func(n *yaml.Node) { text = d.template(n, "text") }}
	d.readEndpoint(known, &at, false)
	return known, func() func(Env) (Sender, error) {
		d.finishEndpoint(&at)
		return func(env Env) (Sender, error) {
			c, err := at.open(env, "")
			if err != nil {
				return nil, err
			}
			return &chat{client: c, text: text, form: form, escape: escape}, nil
		}
	}
}

// chat posts to a chat's webhook.
type chat struct {
	*client

	text   *template.Template // nil: the alert's message
	form   func(n Notice, text string) any
	escape func(string) string
}

// Send implements Sender.
func (c *chat) Send(ctx context.Context, n Notice) error {
	text := n.Alert.Data.Message
	if c.text != nil {
		var err error
		if text, err = n.render(c.text); err != nil {
			return err
		}
	}
	body, err := n.encode(c.form(n, c.escape(text)))
	if err != nil {
		return err
	}
	return c.send(ctx, http.MethodPost, "application/json", body, nil)
}
