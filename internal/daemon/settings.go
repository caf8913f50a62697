package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/kelseyhightower/envconfig"
)

// errHelp ends a command that was asked for its help.
var errHelp = errors.New("help was shown")

// Validator is implemented by settings that can say what is wrong with them. It
// reports everything at once.
type Validator interface{ Validate() error }

// Load fills the settings, a pointer to a struct with envconfig tags, from the
// environment and validates them. Each tag names the whole variable. A variable
// with the given prefix that no setting has is an error, since it is a typing
// mistake that would otherwise pass in silence.
//
// A string that is tagged secret:"true" may come from a file instead, which the variable
// of its name and _FILE names. A file that everybody may read is warned of on stderr.
func Load(prefix string, settings any) error {
	if err := unknown(prefix, settings); err != nil {
		return err
	}
	if err := envconfig.Process("", settings); err != nil {
		if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
			// envconfig's own text quotes the value, which may be a secret.
			return Usage("%s: not a valid %s", parse.KeyName, typeWord(parse.TypeName))
		}
		return Usage("%w", err)
	}
	exposed, err := readSecrets(reflect.ValueOf(settings).Elem())
	if err != nil {
		return Usage("%w", err)
	}
	warn(settings, exposed)
	if v, ok := settings.(Validator); ok {
		if err := v.Validate(); err != nil {
			return Usage("%w", err)
		}
	}
	return nil
}

// warn logs as the settings say.
func warn(settings any, exposed []exposure) {
	log := slog.Default()
	if l, ok := settings.(interface {
		Logger(w io.Writer) *slog.Logger
	}); ok {
		log = l.Logger(os.Stderr)
	}
	for _, e := range exposed {
		log.Warn("everybody on this machine may read the file of a secret: chmod 600 it", "setting", e.setting, "file", e.file)
	}
}

func typeWord(name string) string {
	switch name {
	case "time.Duration":
		return "duration such as 500ms, 10s or 5m"
	case "bool":
		return "switch: true or false"
	case "slog.Level":
		return "level: debug, info, warn or error"
	}
	if strings.Contains(name, "int") {
		return "number"
	}
	return "value"
}

func unknown(prefix string, settings any) error {
	if prefix == "" {
		return nil
	}
	var known []string
	for _, s := range list(reflect.TypeOf(settings).Elem()) {
		known = append(known, s.name)
		if s.file != "" {
			known = append(known, s.file)
		}
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix+"_") && !slices.Contains(known, name) {
			return Usage("%s: there is no such setting", name)
		}
	}
	return nil
}

// Help says what a command does, for -h.
type Help struct {
	// Name is the command as it is typed, Summary what it does in a sentence or
	// a few lines.
	Name, Summary string
	// Commands are subcommands and arguments, each with its meaning.
	Commands [][2]string
	// Without names settings that do not apply to this command.
	Without []string
}

// AskedForHelp reports whether the arguments ask for help.
func AskedForHelp(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0])
}

// Print writes the help with every setting, its default and its meaning, and
// returns the error that ends the command.
func (h Help) Print(w io.Writer, settings ...any) error {
	fmt.Fprintf(w, "%s\n\n%s\n", h.Name, h.Summary)
	table := func(title string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", title)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintf(tw, "  %s\n", strings.Join(row, "\t"))
		}
		_ = tw.Flush()
	}
	var commands, variables [][]string
	for _, c := range h.Commands {
		commands = append(commands, c[:])
	}
	for _, s := range Settings(settings...) {
		if slices.Contains(h.Without, s.Name) {
			continue
		}
		def := s.Default
		if def == "" {
			def = "-"
		}
		variables = append(variables, []string{s.Name, def, s.Meaning})
	}
	table("Usage:", commands)
	table("Settings (environment variable, default, meaning):", variables)
	return errHelp
}

// Setting is one environment variable.
type Setting struct{ Name, Default, Meaning string }

// Settings lists what the settings structs can be told, each variable once.
func Settings(settings ...any) []Setting {
	var out []Setting
	seen := map[string]bool{}
	for _, one := range settings {
		for _, s := range list(reflect.TypeOf(one).Elem()) {
			if !seen[s.name] {
				seen[s.name] = true
				out = append(out, Setting{Name: s.name, Default: s.def, Meaning: s.desc})
				if s.file != "" {
					out = append(out, Setting{Name: s.file, Meaning: "file that holds " + s.name + ", instead"})
				}
			}
		}
	}
	return out
}

// setting is a field's variable; file is the one that names a secret's file.
type setting struct{ name, def, desc, file string }

func list(t reflect.Type) []setting {
	var out []setting
	for f := range t.Fields() {
		switch name := f.Tag.Get("envconfig"); {
		case f.Tag.Get("ignored") == "true":
		case name != "":
			out = append(out, setting{name, f.Tag.Get("default"), f.Tag.Get("desc"), secretFile(name, f.Tag)})
		case f.Type.Kind() == reflect.Struct:
			out = append(out, list(f.Type)...)
		}
	}
	return out
}
