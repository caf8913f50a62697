package door

import (
	"encoding/json"
	"net/http"
	"strings"

	"sluice/schemas"
)

// notification is what authentik's generic webhook sends when it has no property
// mapping. It names neither the event's id nor its time, address or context.
type notification struct {
	Body          *string `json:"body"`
	Severity      *string `json:"severity"`
	UserEmail     string  `json:"user_email"`
	UserUsername  string  `json:"user_username"`
	EventEmail    *string `json:"event_user_email"`
	EventUsername *string `json:"event_user_username"`
	// Action is in an event and in no notification.
	Action json.RawMessage `json:"action"`
}

// actionNotification is the action of a notification that does not tell one.
const actionNotification = "notification"

// authentik handles authentik's webhook transport: with the property mapping of
// docs/publishing.md the body is the event, without it a notification.
func (s *server) authentik(w http.ResponseWriter, r *http.Request, g *grant) {
	_, encoder, b, ok := s.receive(w, r, g, "application/json", "text/json")
	if !ok {
		return
	}
	defer b.free()
	text := b.text
	if len(text) <= schemas.MaxRawBytes {
		text = eventOf(text, encoder.Action)
	}
	s.publish(w, r, g, encoder, []piece{{text: text}}, false)
}

// eventOf makes an event of a notification, and leaves any other text as it is.
func eventOf(text []byte, action string) []byte {
	var n notification
	if json.Unmarshal(text, &n) != nil || n.Body == nil || n.Severity == nil || n.Action != nil {
		return text
	}
	if action == "" {
		action = actionOf(*n.Body)
	}
	event := map[string]any{
		"action": action,
		"app":    "authentik.events.webhook",
		"context": map[string]any{
			"message": *n.Body, "severity": *n.Severity,
			"notified": map[string]string{"username": n.UserUsername, "email": n.UserEmail},
		},
	}
	if n.EventEmail != nil || n.EventUsername != nil {
		user := map[string]string{}
		if n.EventUsername != nil {
			user["username"] = *n.EventUsername
		}
		if n.EventEmail != nil {
			user["email"] = *n.EventEmail
		}
		event["user"] = user
	}
	made, err := json.Marshal(event)
	if err != nil { // strings always marshal
		return text
	}
	return made
}

// actionOf reads the action off a body, which authentik writes as
// "<action>: <context>" where the event has no message.
func actionOf(body string) string {
	action, context, found := strings.Cut(body, ": ")
	if found && schemas.ValidAction(action) && strings.HasPrefix(context, "{") {
		return action
	}
	return actionNotification
}
