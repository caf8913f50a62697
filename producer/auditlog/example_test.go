package auditlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"sluice/producer"
	"sluice/producer/auditlog"
	"sluice/schemas"
)

// printer stands for a producer.Producer.
type printer struct{}

func (printer) Publish(_ context.Context, ev schemas.Event) (producer.Ack, error) {
	fmt.Printf("event %s %s\n", ev.Action, ev.Context)
	return producer.Ack{}, nil
}

// A service publishes with the logger that it has.
func ExampleNew() {
	next := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	log := slog.New(auditlog.New(printer{}, next, auditlog.Config{}))

	log.Info("listening", "port", 8080)
	audit := log.WithGroup("audit")
	audit.Info("login_failed", "username", "ann", "password", "hunter2")
	log.Info("slow request", "seconds", 3, slog.Group("audit", "action", "suspicious_request", "path", "/admin"))
	// Output:
	// level=INFO msg=listening port=8080
	// event login_failed {"password":"hunter2","username":"ann"}
	// event suspicious_request {"message":"slow request","path":"/admin"}
	// level=INFO msg="slow request" seconds=3
}
