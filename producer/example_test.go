package producer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/producer"
	"sluice/schemas"
)

// A service makes one Producer when it starts and publishes with a deadline.
func ExampleNew() {
	nc, stop := exampleBroker() // nats.Connect(url, nats.MaxReconnects(-1)) in a service
	defer stop()

	p, err := producer.New(nc, producer.Config{Tenant: "acme", App: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ack, err := p.Publish(ctx, schemas.Event{
		Action:   schemas.ActionLoginFailed,
		User:     json.RawMessage(`{"pk":7,"username":"ann","email":"ann@example.com"}`),
		Context:  json.RawMessage(`{"stage":"password","password":"hunter2"}`),
		ClientIP: netip.MustParseAddr("203.0.113.7"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("stored as number", ack.Sequence)
	// Output: stored as number 1
}

// What to do about each error, and how to publish an event again: under the id
// that it had.
func ExampleProducer_Publish() {
	nc, stop := exampleBroker()
	defer stop()
	p, err := producer.New(nc, producer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	publish := func(ev schemas.Event) (producer.Ack, error) {
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			ack, err := p.Publish(ctx, ev)
			cancel()
			switch {
			case err == nil:
				return ack, nil
			case errors.Is(err, producer.ErrInvalid), errors.Is(err, producer.ErrTooLarge):
				return ack, err // the event is at fault: it will be refused again
			case errors.Is(err, producer.ErrFull):
				<-time.After(time.Second) // whoever reads the stream is behind
			}
			ev.PK = ack.PK // it may have arrived though its answer did not
		}
	}

	ack, _ := publish(schemas.Event{Action: "login"})
	again, _ := publish(schemas.Event{Action: "login", PK: ack.PK})
	fmt.Println("duplicate:", ack.Duplicate, again.Duplicate)

	_, err = publish(schemas.Event{Action: "login", Context: json.RawMessage(`["not an object"]`)})
	var rejection *schemas.Rejection
	fmt.Println("refused:", errors.As(err, &rejection), rejection.Reason, rejection.Field)
	// Output:
	// duplicate: false true
	// refused: true invalid_field context
}

// Whoever has many events publishes them as a batch.
func ExampleProducer_PublishMany() {
	nc, stop := exampleBroker()
	defer stop()
	p, err := producer.New(nc, producer.Config{Tenant: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	events := make([]schemas.Event, 1000)
	for i := range events {
		events[i] = schemas.Event{Action: "invoice_sent", Context: json.RawMessage(fmt.Sprintf(`{"invoice":%d}`, i))}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	acks, err := p.PublishMany(ctx, events)
	fmt.Println(len(acks), err)
	// Output: 1000 <nil>
}

// Each action has a constructor with its context, and options for the rest.
func ExampleLoginFailed() {
	proxies, err := producer.TrustProxies("10.0.0.0/8")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/login?next=%2Fhome", nil)
	r.RemoteAddr = "10.0.0.2:4711"
	r.Header.Set("X-Forwarded-For", "203.0.113.7")

	ev := producer.LoginFailed(producer.LoginFailedContext{Username: "ann", Reason: "wrong password"},
		producer.By(producer.User{PK: 7, Username: "ann", Email: "ann@example.com"}),
		proxies.Request(r))
	fmt.Println(ev.Action, ev.ClientIP)
	fmt.Println(string(ev.Context))
	// Output:
	// login_failed 203.0.113.7
	// {"http_request":{"path":"/login","method":"POST","args":{"next":"/home"},"user_agent":""},"reason":"wrong password","username":"ann"}
}

// A service has actions of its own.
func ExampleCustom() {
	ev := producer.Custom("invoice_sent", map[string]any{"invoice": 4711}, producer.In("billing"))
	fmt.Println(ev.Action, ev.App, string(ev.Context))
	// Output: invoice_sent billing {"invoice":4711}
}

// The trace of a request goes with its events.
func ExampleContextWithTraceParent() {
	r := httptest.NewRequest(http.MethodPost, "/login", nil)
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	ctx := producer.ContextWithTraceParent(r.Context(), r.Header.Get("traceparent"))

	nc, stop := exampleBroker()
	defer stop()
	p, err := producer.New(nc, producer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	m, err := p.Encode(ctx, producer.PasswordSet())
	fmt.Println(m.TraceParent(), err)
	// Output: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 <nil>
}

// exampleBroker starts a broker with the stream that the redactor creates.
func exampleBroker() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		panic(err)
	}
	s.Start()
	conn, err := broker.Connect(context.Background(), broker.NATS{URL: s.ClientURL(), ConnectWait: 10 * time.Second}, "example",
		slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	if err := conn.EnsureStreams(context.Background(), schemas.RawStream()); err != nil {
		panic(err)
	}
	return conn.NC, func() {
		conn.NC.Close()
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}
}
