package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"sluice/bench/bare"
	"sluice/bench/openloop"
	"sluice/internal/broker"
	"sluice/schemas"
)

// child is what the harness starts as processes of their own, so that they are measured
// as the services are.
func child(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("child: which one?")
	}
	const connectWait = 20 * time.Second
	to := broker.NATS{URL: os.Getenv("NATS_URL"), ConnectWait: connectWait}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	name, args := args[0], args[1:]
	switch {
	case name == "relay" && len(args) == 0:
		return bare.Relay(ctx, to, log)
	case name == "consume" && len(args) == 0:
		return bare.Consume(ctx, to, log)
	case name == "publish" && len(args) == 1:
		f, err := os.Open(args[0]) //nolint:gosec // the harness says which
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return bare.Publish(ctx, to, f, func(action string) string { return schemas.RawSubject(schemas.DefaultTenant, action) }, log)
	case name == "insert" && len(args) == 1:
		most, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return bare.Insert(ctx, os.Getenv("CLICKHOUSE_URL"), most, stdin, stdout)
	case name == "openloop" && len(args) == 4:
		return openLoop(ctx, to, args, log)
	}
	return fmt.Errorf("child %s: not known, or not with these arguments", name)
}

// openLoop takes rate, probe rate, duration and the file that says what was sent.
func openLoop(ctx context.Context, to broker.NATS, args []string, log *slog.Logger) error {
	rate, err1 := strconv.ParseFloat(args[0], 64)
	probes, err2 := strconv.ParseFloat(args[1], 64)
	duration, err3 := time.ParseDuration(args[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	conn, err := broker.Connect(ctx, to, "bench-openloop", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	sent, err := openloop.Run(ctx, conn.NC, openloop.Config{Rate: rate, ProbeRate: probes, For: duration})
	if err != nil {
		return err
	}
	f, err := os.Create(args[3]) //nolint:gosec // the harness says which
	if err != nil {
		return err
	}
	return errors.Join(openloop.Write(f, sent), f.Close())
}
