package authentik

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// headBytes is how much of a file's beginning tells it from others: container logs
// begin with a time to the nanosecond.
const headBytes = 512

// Place is up to where one log file has been read. A file is known by how it
// begins, so that it is found again under the name that rotation gave it, also
// compressed.
type Place struct {
	// Head is the SHA-256 of the first HeadBytes bytes.
	Head      string `json:"head"`
	HeadBytes int    `json:"head_bytes"`
	// Offset is where to go on, Line how many lines there are before it.
	Offset int64 `json:"offset"`
	Line   int   `json:"line"`
}

func headOf(first []byte) (string, int) {
	first = first[:min(len(first), headBytes)]
	sum := sha256.Sum256(first)
	return hex.EncodeToString(sum[:]), len(first)
}

// Book is the state file: a small JSON file, written anew as a whole. What it says
// is never ahead of what is stored, and may be behind: then some lines are read
// again, which their ids make harmless. It is for one goroutine.
type Book struct {
	name  string
	state state
	saved time.Time
	dirty bool
}

type state struct {
	Version int              `json:"version"`
	Files   map[string]Place `json:"files,omitempty"`
	API     map[string]Mark  `json:"api,omitempty"`
}

const stateVersion = 1

// saveEvery is how often the state is written while events come.
const saveEvery = time.Second

// OpenBook reads the state file, which need not be there yet; with no name nothing
// is remembered.
func OpenBook(name string) (*Book, error) {
	b := &Book{name: name, state: state{Version: stateVersion, Files: map[string]Place{}, API: map[string]Mark{}}}
	if name == "" {
		return b, nil
	}
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Better to learn now than after an hour that it cannot be written.
		return b, b.write()
	case err != nil:
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	if err := json.Unmarshal(text, &b.state); err != nil || b.state.Version != stateVersion {
		return nil, fmt.Errorf("%s is no state file of this command: name another with -state, or remove it to read everything again", name)
	}
	if b.state.Files == nil {
		b.state.Files = map[string]Place{}
	}
	if b.state.API == nil {
		b.state.API = map[string]Mark{}
	}
	return b, nil
}

// position is what an item carries.
type position struct {
	key   string
	place Place
	mark  *Mark
}

// Settled notes a position; it is for intake.Config.
func (b *Book) Settled(p any) {
	at, ok := p.(position)
	if !ok {
		return
	}
	if at.mark != nil {
		b.state.API[at.key] = *at.mark
	} else {
		b.state.Files[at.key] = at.place
	}
	b.dirty = true
}

// Tick saves what is new, if the last time was long enough ago.
func (b *Book) Tick() error {
	if !b.dirty || time.Since(b.saved) < saveEvery {
		return nil
	}
	return b.Save()
}

// Save writes what is new.
func (b *Book) Save() error {
	if b.name == "" || !b.dirty {
		return nil
	}
	return b.write()
}

// write puts the new file in the place of the old in one step, so that a crash
// leaves one or the other, whole.
func (b *Book) write() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the state file: %w", err)
		}
	}()
	text, err := json.MarshalIndent(b.state, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(b.name)
	file, err := os.CreateTemp(dir, filepath.Base(b.name)+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	if _, err = file.Write(append(text, '\n')); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if err = file.Close(); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), b.name); err != nil {
		return err
	}
	b.dirty, b.saved = false, time.Now()
	return syncDir(dir)
}

// syncDir makes the new name as lasting as the new content.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
