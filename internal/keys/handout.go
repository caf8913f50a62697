package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FileTokens is the door's, PRODUCER_TOKENS_FILE: who may publish over HTTP. The
// tokens themselves are in door-<tenant>.token.
const (
	FileTokens  = "tokens"
	tokenPrefix = "door-"
	tokenSuffix = ".token"
)

// fileGrafana is the password of Grafana's user admin.
const fileGrafana = "grafana-admin.password"

// portions say what each container of the stack may read, besides ca.pem. A name
// with * stands for all that there are.
var portions = map[string][]string{
	"nats":       {"nats.pem", "nats-key.pem", FileNKeys, FileTenants, FileStoreKey},
	"clickhouse": {"clickhouse.pem", "clickhouse-key.pem", "clickhouse-*.password"},
	"migrate":    {"clickhouse-admin.password"},
	"redactor":   {"redactor.nk"},
	"sink":       {"sink.nk", "clickhouse-sink.password"},
	"notifier":   {"notifier.nk"},
	"door":       {"door.nk", FileTokens},
	"demo":       {producerUser + "default.nk"},
	"grafana":    {"clickhouse-analyst.password", fileGrafana},
}

// handedOut is readable by the group too: servers of other people's images run as
// users of their own, with the group that owns the folder.
const handedOut = 0o440

// HandOut copies to each container's folder in dir, which is there, what that
// container may read, so that none can read what is another's. It makes what only
// containers need: a token of the door for each tenant that has none, Grafana's password.
func (f Folder) HandOut(dir string) (made []string, err error) {
	made, err = f.missing(fileGrafana, func() ([]byte, error) { return []byte(random() + "\n"), nil })
	if err != nil {
		return made, err
	}
	tokens, err := f.tokens()
	made = append(made, tokens...)
	if err != nil {
		return made, err
	}
	for container, patterns := range portions {
		to := filepath.Join(dir, container)
		if _, err := os.Stat(to); err != nil {
			return made, fmt.Errorf("hand out keys: %w", err)
		}
		for _, pattern := range append([]string{FileCA}, patterns...) {
			files, err := filepath.Glob(f.path(pattern))
			if err != nil {
				return made, err
			}
			if len(files) == 0 && pattern != producerUser+"default.nk" { // an installation may have other tenants
				return made, fmt.Errorf("hand out keys: there is no %s", f.path(pattern))
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					return made, err
				}
				if err := write(to, filepath.Base(file), content, handedOut); err != nil {
					return made, err
				}
			}
		}
	}
	return made, nil
}

// tokens makes the missing tokens, and the file that tells the door of them all.
func (f Folder) tokens() (made []string, err error) {
	tenants, err := f.tenants()
	if err != nil {
		return nil, err
	}
	lines := []string{"# The door's tokens, as hashes: NAME TENANT ACTIONS TOKEN. Written by keys."}
	for _, tenant := range tenants {
		name := tokenPrefix + tenant + tokenSuffix
		wrote, err := f.missing(name, func() ([]byte, error) { return []byte(random() + "\n"), nil })
		if err != nil {
			return made, err
		}
		made = append(made, wrote...)
		token, err := os.ReadFile(f.path(name))
		if err != nil {
			return made, err
		}
		hash := sha256.Sum256([]byte(strings.TrimSpace(string(token))))
		lines = append(lines, tenant+" "+tenant+" * sha256:"+hex.EncodeToString(hash[:]))
	}
	return made, f.write(FileTokens, []byte(strings.Join(lines, "\n")+"\n"))
}

// Containers are those that HandOut has something for.
func Containers() []string {
	var names []string
	for name := range portions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// write puts a file in place with that mode. It is there whole or not at all,
// whenever the process ends.
func write(dir, name string, content []byte, mode os.FileMode) error {
	temporary, err := os.CreateTemp(dir, "."+name+"-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone already where all went well
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(temporary.Name(), filepath.Join(dir, name))
}
