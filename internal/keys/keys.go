// Package keys makes the keys and certificates of a first installation: a
// certificate authority, a certificate for each server, an nkey for each user of
// the broker, passwords for ClickHouse and the key of the broker's store.
//
// It promises to change no secret that is there: called again it makes what is
// missing. The public parts (nkeys.conf, tenants.conf) follow from the seeds and
// are written each time. It prints no secret.
package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/schemas"
)

// The folder's files besides a seed for each user, <user>.nk. Others name them:
// deploy/nats, the containers, ClickHouse's configuration.
const (
	FileCA        = "ca.pem"
	FileCAKey     = "ca-key.pem"
	FileNKeys     = "nkeys.conf"
	FileTenants   = "tenants.conf"
	FileStoreKey  = "store.key"
	seedSuffix    = ".nk"
	producerUser  = "producer-"
	subscribeUser = "subscriber-"
)

// Servers have a certificate each, <name>.pem, and its key, <name>-key.pem. The
// name is the one under which the other containers know the server.
var Servers = []string{"nats", "clickhouse"}

// Users are those of the broker that every installation has. Each tenant adds two,
// producer-<tenant> and subscriber-<tenant>.
var Users = []string{"redactor", "sink", "notifier", "door", "operator", "responder", "sys"}

// passwords are ClickHouse's, each in clickhouse-<user>.password.
var passwords = []string{"sink", "analyst", "admin"}

// Folder is what an installation's folder of keys is to hold.
type Folder struct {
	Dir string
	// Tenants are those to have users; those that have them keep them.
	Tenants []string
	// Names are further names or addresses of the servers, for their certificates.
	Names []string
}

// Make makes what is missing and returns the names of the files that it made.
func (f Folder) Make() (made []string, err error) {
	for _, tenant := range f.Tenants {
		if err := schemas.CheckTenant(tenant); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, err
	}
	for _, step := range []func() ([]string, error){f.certificates, f.seeds, f.secrets} {
		names, err := step()
		made = append(made, names...)
		if err != nil {
			return made, err
		}
	}
	return made, f.publicParts()
}

// seeds makes the missing users.
func (f Folder) seeds() (made []string, err error) {
	users := slices.Clone(Users)
	for _, tenant := range f.Tenants {
		users = append(users, producerUser+tenant, subscribeUser+tenant)
	}
	for _, user := range users {
		wrote, err := f.missing(user+seedSuffix, newSeed)
		if err != nil {
			return made, err
		}
		made = append(made, wrote...)
	}
	return made, nil
}

// secrets makes the missing passwords and the key of the store.
func (f Folder) secrets() (made []string, err error) {
	for _, user := range passwords {
		wrote, err := f.missing("clickhouse-"+user+".password", func() ([]byte, error) { return []byte(random() + "\n"), nil })
		if err != nil {
			return made, err
		}
		made = append(made, wrote...)
	}
	// A line of the broker's configuration, which includes it.
	wrote, err := f.missing(FileStoreKey, func() ([]byte, error) { return []byte("store_key: \"" + random() + "\"\n"), nil })
	return append(made, wrote...), err
}

// random is 256 bits in hexadecimal, which no configuration needs to escape.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// missing writes a file that is not there. It is there whole or not at all,
// whenever the process ends.
func (f Folder) missing(name string, content func() ([]byte, error)) (made []string, err error) {
	if _, err := os.Lstat(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := content()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return []string{name}, f.write(name, text)
}

// write puts a file in place, readable by its owner alone.
func (f Folder) write(name string, content []byte) error {
	return write(f.Dir, name, content, 0o600)
}

func (f Folder) path(name string) string { return filepath.Join(f.Dir, name) }

// tenants are all that have users, from whichever call.
func (f Folder) tenants() ([]string, error) {
	files, err := filepath.Glob(f.path(producerUser + "*" + seedSuffix))
	if err != nil {
		return nil, err
	}
	tenants := make([]string, 0, len(files))
	for _, file := range files {
		tenants = append(tenants, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), producerUser), seedSuffix))
	}
	slices.Sort(tenants)
	return tenants, nil
}
