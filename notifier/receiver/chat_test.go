package receiver

import (
	"strings"
	"testing"

	"sluice/schemas"
)

func TestSlack(t *testing.T) {
	p := newPeer(t, nil)
	s := open(t, secretURL(p.URL), "type: slack\nurl_env: URL\n"+loopback)
	mustSend(t, s, notice(t, nil))
	got := p.last(t)
	body := decode(t, got.body)
	if got.path != "/hook/T0KEN" || at(body, "text") != "ValueError: amount 17 is too &lt;small&gt;" {
		t.Errorf("got %s %s", got.path, got.body)
	}
	if text := at(body, "attachments", 0, "text"); !strings.Contains(text, "&lt;!channel&gt;") || strings.Contains(text, "<!channel>") {
		t.Errorf("the text calls the channel: %s", text)
	}
	if at(body, "attachments", 0, "color") != "#c62828" {
		t.Errorf("got color %s", at(body, "attachments", 0, "color"))
	}
	mustSend(t, s, notice(t, func(a *schemas.Alert) { a.Type, a.Data.Count = schemas.AlertResolved, 12 }))
	if body := decode(t, p.last(t).body); at(body, "text") != "Resolved: ValueError: amount 17 is too &lt;small&gt;" {
		t.Errorf("got %v", body)
	}
}

func TestDiscord(t *testing.T) {
	p := newPeer(t, nil)
	mustSend(t, open(t, secretURL(p.URL), "type: discord\nurl_env: URL\n"+loopback), notice(t, func(a *schemas.Alert) {
		a.Data.Message = strings.Repeat("long ", 4000)
	}))
	body := decode(t, p.last(t).body)
	if at(body, "allowed_mentions", "parse") != "[]" {
		t.Errorf("mentions: %v", body["allowed_mentions"])
	}
	if n := len([]rune(at(body, "embeds", 0, "description"))); n > 4096 {
		t.Errorf("the description has %d characters", n)
	}
	if at(body, "embeds", 0, "color") != "1.2986408e+07" || at(body, "embeds", 0, "timestamp") != "2026-03-01T12:00:00Z" {
		t.Errorf("got %v", body)
	}
}

func TestTeams(t *testing.T) {
	p := newPeer(t, nil)
	mustSend(t, open(t, secretURL(p.URL), "type: teams\nurl_env: URL\n"+loopback+"text: 'see {{.data.app}}: {{.data.title}}'"), notice(t, nil))
	body := decode(t, p.last(t).body)
	card := []any{"attachments", 0, "content"}
	if at(body, "type") != "message" || at(body, append(card, "type")...) != "AdaptiveCard" ||
		at(body, append(card, "body", 1, "text")...) != "see billing: ValueError: amount 17 is too <small>" {
		t.Errorf("got %v", body)
	}
}
