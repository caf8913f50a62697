// Command keys makes the keys and certificates of a first installation, and later
// those that are missing.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"sluice/internal/daemon"
	"sluice/internal/keys"
)

func main() { os.Exit(daemon.Main("keys", run)) }

type config struct {
	Dir     string `envconfig:"KEYS_DIR" default:"deploy/keys" desc:"folder of the keys; made if missing, readable by its owner alone"`
	Tenants string `envconfig:"TENANTS" default:"default" desc:"tenants to have users at the broker, separated by blanks; those that have keep theirs"`
	Names   string `envconfig:"KEYS_NAMES" desc:"further names or addresses of the servers for their certificates, separated by blanks"`
	HandOut string `envconfig:"KEYS_HAND_OUT" desc:"folder that holds one for each container, to put there what that container may read (docs/containers.md); empty for none"`
}

func run(_ context.Context, args []string) error {
	if daemon.AskedForHelp(args) {
		return daemon.Help{
			Name: "keys",
			Summary: "Makes the keys and certificates of an installation: certificate authority, servers' certificates, the seeds of the\n" +
				"broker's users, ClickHouse's passwords, the key of the broker's store. What is there stays as it is: remove a file\n" +
				"to have it made anew.",
			Commands: [][2]string{{"keys", "make what is missing"}},
		}.Print(os.Stdout, new(config))
	}
	if len(args) > 0 {
		return daemon.Usage("keys takes no arguments")
	}
	var cfg config
	if err := daemon.Load("KEYS", &cfg); err != nil {
		return err
	}
	folder := keys.Folder{Dir: cfg.Dir, Tenants: strings.Fields(cfg.Tenants), Names: strings.Fields(cfg.Names)}
	made, err := folder.Make()
	if err == nil && cfg.HandOut != "" {
		var tokens []string
		tokens, err = folder.HandOut(cfg.HandOut)
		made = append(made, tokens...)
	}
	for _, name := range made {
		fmt.Println("made " + name)
	}
	if err != nil {
		return err
	}
	if len(made) == 0 {
		fmt.Println("nothing was missing in " + cfg.Dir)
	}
	return nil
}
