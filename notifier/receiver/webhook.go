package receiver

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"
)

// readWebhook reads a webhook: the alert's CloudEvent, or a body of one's own.
func readWebhook(d *definition) (members, finish) {
	var (
		at          endpoint
		method      = http.MethodPost
		body        *template.Template
		contentType string
		signing     []secret
	)
	known := members{
		"method": func(n *yaml.Node) {
			if method = d.line(n, "method"); !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, method) {
				d.wrongf(n, "method", "must be POST, PUT or PATCH")
			}
		},
		"body": func(n *yaml.Node) { body = d.template(n, "body") },
		"content_type": func(n *yaml.Node) {
			contentType = d.line(n, "content_type")
			if _, _, err := mime.ParseMediaType(contentType); err != nil {
				d.wrongf(n, "content_type", "must be a media type such as application/json")
			}
		},
	}
	d.readEndpoint(known, &at, true)
	d.secrets(known, "signing_secrets", maxSigningSecrets, &signing)
	return known, func() func(Env) (Sender, error) {
		d.finishEndpoint(&at)
		switch {
		case body == nil:
			if contentType != "" {
				d.wrongf(d.at("content_type"), "content_type", "is for a body of your own")
			}
			contentType = CloudEventType + "; charset=utf-8"
		case contentType == "":
			contentType = "application/json"
		}
		if body != nil && isJSON(contentType) {
			if text, err := execute(body, sampleNotice); err == nil && !json.Valid([]byte(text)) {
				d.wrongf(d.at("body"), "body", "gives no valid JSON for a sample alert: write values as {{json .data.title}}, or set content_type")
			}
		}
		return func(env Env) (Sender, error) {
			c, err := at.open(env, "")
			if err != nil {
				return nil, err
			}
			sign, err := openSigner(env, signing)
			if err != nil {
				return nil, err
			}
			return &webhook{client: c, method: method, body: body, contentType: contentType, sign: sign}, nil
		}
	}
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

type webhook struct {
	*client

	method      string
	body        *template.Template // nil: the CloudEvent
	contentType string
	sign        signer
}

// Send implements Sender.
func (w *webhook) Send(ctx context.Context, n Notice) error {
	body, err := w.render(n)
	if err != nil {
		return err
	}
	extra := w.sign.headers(n.Alert.ID, time.Now(), body)
	if n.TraceParent != "" {
		extra.Set("Traceparent", n.TraceParent)
	}
	return w.send(ctx, w.method, w.contentType, body, extra)
}

// render returns the body, redacted.
func (w *webhook) render(n Notice) ([]byte, error) {
	if w.body == nil {
		return n.Body, nil
	}
	text, err := n.render(w.body)
	if err != nil || !isJSON(w.contentType) {
		return []byte(text), err
	}
	if !json.Valid([]byte(text)) {
		return nil, refused("its body is no valid JSON: write values as {{json .data.title}}")
	}
	return n.redactJSON([]byte(text)) // as JSON: by names the engine sees more than in a text
}
