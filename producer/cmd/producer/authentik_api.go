package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"time"

	"sluice/internal/daemon"
	"sluice/producer/authentik"
	"sluice/schemas"
)

// apiSettings come from the environment.
type apiSettings struct {
	PublishSettings

	URL   string `envconfig:"PRODUCER_AUTHENTIK_URL" desc:"where authentik is, such as https://auth.example.com"`
	Token string `envconfig:"PRODUCER_AUTHENTIK_TOKEN" desc:"its API token, which needs the permission to view events; better use a file" secret:"true"`
	CA    string `envconfig:"PRODUCER_AUTHENTIK_CA" desc:"file with the certificates to trust, instead of the system's"`
}

// Validate implements daemon.Validator.
func (s *apiSettings) Validate() error {
	err := s.PublishSettings.Validate()
	if s.URL == "" {
		err = errors.Join(err, errors.New("PRODUCER_AUTHENTIK_URL: say where authentik is, such as https://auth.example.com"))
	}
	if s.Token == "" {
		err = errors.Join(err, errors.New("set one of PRODUCER_AUTHENTIK_TOKEN_FILE and PRODUCER_AUTHENTIK_TOKEN"))
	}
	return err
}

var apiHelp = daemon.Help{
	Name: "producer authentik-api [-tenant T] [-state FILE] [-since TIME] [-until TIME] [-follow]",
	Summary: `Publishes the events that authentik's API has, the oldest first, and ends with the
line "published N, duplicate N, refused N, skipped N" on stdout: for the history,
and where the logs cannot be read. Events keep the id that authentik gave them, so
fetching them again stores nothing twice. An event from the log has another id:
use one way for one time, with -since and -until where they meet.

The token goes to PRODUCER_AUTHENTIK_URL alone; redirects are not followed. When
authentik is away, overloaded or limits the rate, it waits as told by Retry-After,
and gives up after PRODUCER_TIMEOUT. A state file lets the next run go on where
this one stopped, less two minutes, since events can appear late.`,
	Commands: [][2]string{
		{"-tenant T", "whose events these are: letters, digits, - and _ (default: PRODUCER_TENANT)"},
		{"-state FILE", "where to remember how far the events were fetched; nothing is remembered without"},
		{"-since TIME", "the events from that time on, RFC 3339"},
		{"-until TIME", "the events before that time, RFC 3339"},
		{"-follow", "ask for new events every -every, until it is stopped"},
		{"-every D", "how often to ask for new events (default 30s)"},
	},
}

func publishAPI(ctx context.Context, args []string) error {
	var settings apiSettings
	if daemon.AskedForHelp(args) {
		return apiHelp.Print(os.Stdout, &settings)
	}
	if err := daemon.Load("PRODUCER", &settings); err != nil {
		return err
	}
	cfg := authentik.APIConfig{Timeout: settings.Timeout}
	flags := flag.NewFlagSet("producer authentik-api", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&cfg.Tenant, "tenant", settings.Tenant, "")
	stateFile := flags.String("state", "", "")
	flags.TextVar(&cfg.Since, "since", time.Time{}, "")
	flags.TextVar(&cfg.Until, "until", time.Time{}, "")
	flags.BoolVar(&cfg.Follow, "follow", false, "")
	flags.DurationVar(&cfg.Every, "every", 30*time.Second, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return apiHelp.Print(os.Stdout, &settings)
	case err != nil:
		return daemon.Usage("authentik-api: %w", err)
	case flags.NArg() > 0:
		return daemon.Usage("authentik-api: %q: it takes no files", flags.Arg(0))
	case cfg.Every < time.Second:
		return daemon.Usage("-every %s: want 1s or more", cfg.Every)
	}
	if err := schemas.CheckTenant(cfg.Tenant); err != nil {
		return daemon.Usage("-tenant: %w", err)
	}
	var err error
	if cfg.Client, err = authentik.NewClient(settings.URL, settings.Token, settings.CA); err != nil {
		return daemon.Usage("authentik-api: PRODUCER_AUTHENTIK_*: %w", err)
	}
	book, err := authentik.OpenBook(*stateFile)
	if err != nil {
		return err
	}
	screen := newScreen(os.Stderr, 0)
	defer screen.close()
	cfg.Report = screen
	if cfg.Follow {
		cfg.Timeout = 0
	}
	reader, err := authentik.API(cfg, book)
	if err != nil {
		return err
	}
	return publishReader(ctx, &settings.PublishSettings, screen, book, reader, cfg.Follow)
}
