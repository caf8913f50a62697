package bare

import (
	"errors"
	"testing"
	"time"

	"sluice/bench/events"
	"sluice/schemas"
)

func TestMessage(t *testing.T) {
	t.Parallel()
	p, err := events.NewPool(200, 0, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	subject := func(action string) string { return schemas.RawSubject("acme", action) }
	for range 200 {
		ev := p.Next()
		msg, err := message(ev.JSON, subject)
		if err != nil || msg.Subject != "events.raw.acme."+ev.Action || msg.Header.Get("Nats-Msg-Id") != ev.PK {
			t.Fatalf("got %+v, %v for %s %s", msg, err, ev.Action, ev.PK)
		}
	}
	for _, bad := range []string{"", "{}", `{"pk":"x","action":"login"}`, `{"pk":"11111111-1111-4111-8111-111111111111","action":"x`} {
		if _, err := message([]byte(bad), subject); !errors.Is(err, errForeign) {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}
