// Command producer publishes audit events from files and pipes, and makes
// synthetic ones.
package main

import (
	"context"
	"fmt"
	"os"

	"sluice/internal/daemon"
)

func main() { os.Exit(daemon.Main("producer", run)) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return daemon.Usage("say what to do: publish, serve, authentik, authentik-api, validate or generate")
	}
	switch command, rest := args[0], args[1:]; command {
	case "publish":
		return publish(ctx, rest)
	case "serve":
		return serve(ctx, rest)
	case "authentik":
		return publishLogs(ctx, rest)
	case "authentik-api":
		return publishAPI(ctx, rest)
	case "validate":
		return validate(ctx, rest)
	case "generate":
		return generateEvents(ctx, rest)
	case "-version", "--version", "version":
		_, err := fmt.Println(daemon.Version)
		return err
	default:
		if daemon.AskedForHelp(args) {
			return help.Print(os.Stdout)
		}
		return daemon.Usage("there is no command %q: publish, serve, authentik, authentik-api, validate or generate", command)
	}
}

var help = daemon.Help{
	Name:    "producer",
	Summary: "Publishes audit events to Sluice, and makes synthetic ones to try it with.",
	Commands: [][2]string{
		{"producer publish [-tenant T] [-action A] [-new-ids] [FILE...]", "publish events, one JSON object per line, from files or stdin"},
		{"producer serve", "take events over HTTP, until SIGTERM"},
		{"producer authentik [-tenant T] [-state FILE] [-timezone ZONE] [-follow] [FILE...]", "publish the events in the logs of authentik's containers"},
		{"producer authentik-api [-tenant T] [-state FILE] [-since TIME] [-until TIME] [-follow]", "publish the events that authentik's API has"},
		{"producer validate [-action A] [FILE...]", "compare events with their schemas"},
		{"producer generate [-n N] [-rate R] [-seed S] [-start TIME] [-secret-rate R] [-secrets FILE] [-publish]", "write synthetic events to stdout, or publish them"},
		{"producer COMMAND -h", "what the command does in detail, and its settings"},
		{"producer -version", "print the version"},
	},
}
