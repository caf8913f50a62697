package spool_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/producer"
	"sluice/producer/spool"
)

// A service that must go on without the broker keeps events on its own disk.
func ExampleOpen() {
	// There is no broker, and none is waited for.
	nc, err := nats.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	p, err := producer.New(nc, producer.Config{Tenant: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	dir, err := os.MkdirTemp("", "example") // /var/lib/billing/spool in a service
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	s, err := spool.Open(p, spool.Config{Dir: dir, MaxBytes: 100 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = s.Publish(ctx, producer.PasswordSet(producer.By(producer.User{Username: "ann"})))
	fmt.Println(s.Pending(), err)
	// Output: 1 <nil>
}
