package producer_test

import (
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/producer"
	"sluice/producer/internal/brokertest"
	"sluice/schemas"
)

// Each action of the catalogue has its constructor, whose event is published.
func TestConstructors(t *testing.T) {
	model := producer.Model{App: "billing", ModelName: "invoice", PK: 7, Name: "Invoice 7"}
	exception := []producer.Exception{{Type: "ValueError", Value: "no"}}
	b := brokertest.Start(t)
	stream := b.Raw(0)
	p := newProducer(t, b, producer.Config{App: "billing"})
	var actions []string
	for _, tc := range []struct {
		event schemas.Event
		want  string
	}{
		{producer.Login(producer.LoginContext{AuthMethod: "password", AuthMethodArgs: map[string]any{"mfa": true}}), `{"auth_method":"password","auth_method_args":{"mfa":true}}`},
		{producer.LoginFailed(producer.LoginFailedContext{Username: "ann", Stage: &model}), `{"username":"ann","stage":{"app":"billing","model_name":"invoice","pk":7,"name":"Invoice 7"}}`},
		{producer.Logout(producer.LogoutContext{Reason: "timeout"}), `{"logout_reason":"timeout"}`},
		{producer.UserWrite(producer.UserWriteContext{Username: "ann", Created: true}), `{"username":"ann","created":true}`},
		{producer.SuspiciousRequest(producer.SuspiciousRequestContext{Message: "revoked"}), `{"message":"revoked"}`},
		{producer.PasswordSet(), `{}`},
		{producer.SecretView(producer.SecretViewContext{Secret: producer.Model{Name: "key"}, Type: "private_key"}), `{"secret":{"name":"key"},"type":"private_key"}`},
		{producer.SecretRotate(producer.SecretRotateContext{Token: producer.Model{PK: "a"}}), `{"token":{"pk":"a"}}`},
		{producer.InvitationUsed(producer.InvitationUsedContext{InvitationUUID: "x"}), `{"invitation_uuid":"x"}`},
		{producer.AuthorizeApplication(producer.AuthorizeApplicationContext{Application: producer.Model{Name: "wiki"}, Scopes: "openid"}), `{"authorized_application":{"name":"wiki"},"scopes":"openid"}`},
		{producer.SourceLinked(producer.SourceLinkedContext{Source: producer.Model{Name: "google"}}), `{"source":{"name":"google"}}`},
		{producer.ImpersonationStarted(producer.ImpersonationStartedContext{Reason: "help"}), `{"reason":"help"}`},
		{producer.ImpersonationEnded(), `{}`},
		{producer.PolicyExecution(producer.PolicyExecutionContext{PolicyUUID: "p", Result: map[string]any{"passing": true}}), `{"policy_uuid":"p","result":{"passing":true}}`},
		{producer.PolicyException(producer.PolicyExceptionContext{Message: "no", Exception: exception}), `{"message":"no","exception":[{"exc_type":"ValueError","exc_value":"no"}]}`},
		{producer.PropertyMappingException(producer.PropertyMappingExceptionContext{Message: "no", Expression: "return x"}), `{"message":"no","expression":"return x"}`},
		{producer.SystemTaskException(producer.SystemTaskExceptionContext{Message: "no", Actor: "clean"}), `{"message":"no","actor":"clean"}`},
		{producer.SystemException(producer.SystemExceptionContext{Message: "no"}), `{"message":"no"}`},
		{producer.ConfigurationError(producer.ConfigurationErrorContext{Message: "no", Cause: "x"}), `{"message":"no","cause":"x"}`},
		{producer.ModelCreated(producer.ModelContext{Model: producer.Model{PK: 1}}), `{"model":{"pk":1}}`},
		{producer.ModelUpdated(producer.ModelContext{Diff: map[string]producer.Change{"name": {Previous: "a", New: "b"}}}), `{"model":{},"diff":{"name":{"previous_value":"a","new_value":"b"}}}`},
		{producer.ModelDeleted(producer.ModelContext{Model: producer.Model{PK: 1}}), `{"model":{"pk":1}}`},
		{producer.EmailSent(producer.EmailSentContext{Subject: "Hello", To: []string{"a@b"}}), `{"subject":"Hello","to_email":["a@b"]}`},
		{producer.UpdateAvailable(producer.UpdateAvailableContext{NewVersion: "2"}), `{"new_version":"2"}`},
	} {
		actions = append(actions, tc.event.Action)
		if got := string(tc.event.Context); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.event.Action, got, tc.want)
		}
		if _, err := p.Publish(t.Context(), tc.event); err != nil {
			t.Errorf("%s: %v", tc.event.Action, err)
		}
	}
	var want []string
	for _, a := range schemas.Actions() {
		want = append(want, a.Name)
	}
	if !slices.Equal(actions, want) {
		t.Errorf("actions %v, want %v", actions, want)
	}
	if got := len(brokertest.Messages(t, stream)); got != 24 {
		t.Errorf("%d events stored", got)
	}
}

func TestOptions(t *testing.T) {
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	got := producer.Login(producer.LoginContext{AuthMethod: "password"},
		producer.By(producer.User{PK: 1, Username: "root", OnBehalfOf: &producer.User{PK: "x", Username: "ann"}}),
		producer.In("door"), producer.At(at), producer.Until(at.AddDate(1, 0, 0)), producer.Under(producer.Brand{Name: "b"}),
		producer.From(netip.MustParseAddr("::ffff:203.0.113.7")), producer.ID(uuid.MustParse("6f9619ff-8b86-4011-b42d-00c04fc964ff")),
		producer.With("auth_method", "token"), producer.With("floor", 3))
	want := `{"pk":"6f9619ff-8b86-4011-b42d-00c04fc964ff","user":{"pk":1,"username":"root","on_behalf_of":{"pk":"x","username":"ann"}},` +
		`"action":"login","app":"door","context":{"auth_method":"token","floor":3},"client_ip":"203.0.113.7",` +
		`"created":"2026-11-02T08:00:00.000000Z","expires":"2027-11-02T08:00:00.000000Z","brand":{"name":"b"}}`
	if text := string(got.AppendJSON(nil)); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestWhatIsNoJSONIsRefused(t *testing.T) {
	e, err := producer.NewEncoder("acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, ev := range map[string]schemas.Event{
		"NaN":     producer.Login(producer.LoginContext{}, producer.With("x", math.NaN())),
		"channel": producer.Custom("door_opened", map[string]any{"x": make(chan int)}),
		"list":    producer.Custom("door_opened", []int{1}),
		"more":    producer.Custom("door_opened", []int{1}, producer.With("x", 1)),
		"user":    producer.PasswordSet(producer.By(producer.User{PK: math.Inf(1)})),
	} {
		if _, err := e.Event(ev); !errors.Is(err, producer.ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, producer.ErrInvalid)
		}
	}
	var nothing *struct{}
	if got := string(producer.Custom("door_opened", nothing, producer.With("x", 1)).Context); got != `{"x":1}` {
		t.Errorf("a nil pointer: %s", got)
	}
	if !json.Valid(producer.Custom("door_opened", nil).Context) || strings.Contains(string(producer.Custom("x", nil).Context), "null") {
		t.Error("no context is an empty one")
	}
}
