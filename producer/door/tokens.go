package door

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/time/rate"

	"sluice/schemas"
)

// grant is one line of the tokens' file: what whoever has the token may do.
type grant struct {
	// name is for logs and metrics.
	name   string
	tenant string
	// actions are names, or beginnings of names that end in *.
	actions []string
	hash    [sha256.Size]byte
	limit   *rate.Limiter
}

// allows tells whether events of that action may be published.
func (g *grant) allows(action string) bool {
	for _, want := range g.actions {
		if beginning, open := strings.CutSuffix(want, "*"); open && strings.HasPrefix(action, beginning) || want == action {
			return true
		}
	}
	return false
}

// minTokenLen is 128 bits as hexadecimal: a hash without a salt is no protection
// for a token that can be guessed.
const minTokenLen = 32

// tokensSize is far above what a file for thousands of services takes.
const tokensSize = 4 << 20

// readTokens reads the file with the tokens. Its errors never quote a token.
func readTokens(name string, eventsPerSecond int) ([]*grant, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("PRODUCER_TOKENS_FILE: %w", err)
	}
	grants, err := parseTokens(text, eventsPerSecond)
	if err != nil {
		return nil, fmt.Errorf("PRODUCER_TOKENS_FILE %s: %w", name, err)
	}
	return grants, nil
}

func parseTokens(text []byte, eventsPerSecond int) ([]*grant, error) {
	if len(text) > tokensSize {
		return nil, fmt.Errorf("larger than %d bytes", tokensSize)
	}
	var grants []*grant
	names, hashes := map[string]bool{}, map[[sha256.Size]byte]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, tokensSize)
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		g, err := parseGrant(fields)
		switch {
		case err != nil:
		case names[g.name]:
			err = errors.New("the name stands there twice")
		case hashes[g.hash]:
			err = errors.New("the token stands there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		names[g.name], hashes[g.hash] = true, true
		g.limit = rate.NewLimiter(rate.Inf, 0)
		if eventsPerSecond > 0 {
			g.limit = rate.NewLimiter(rate.Limit(eventsPerSecond), max(burstSeconds*eventsPerSecond, maxEvents))
		}
		grants = append(grants, g)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(grants) == 0 {
		return nil, errors.New("there is no token in it: write one line for each, NAME TENANT ACTIONS sha256:HASH")
	}
	return grants, nil
}

// burstSeconds is for how long what was not used may be used up at once; a
// request of maxEvents always fits.
const burstSeconds = 10

func parseGrant(fields []string) (*grant, error) {
	if len(fields) != 4 {
		return nil, fmt.Errorf("%d words, want four: NAME TENANT ACTIONS TOKEN", len(fields))
	}
	g := &grant{name: fields[0], tenant: fields[1], actions: strings.Split(fields[2], ",")}
	if schemas.CheckTenant(g.name) != nil {
		return nil, errors.New("the name: want letters, digits, - and _, at most 64")
	}
	if schemas.CheckTenant(g.tenant) != nil {
		return nil, errors.New("the tenant: want letters, digits, - and _, at most 64")
	}
	for _, action := range g.actions {
		beginning, open := strings.CutSuffix(action, "*")
		if !schemas.ValidAction(beginning) && (!open || beginning != "") {
			return nil, errors.New("the actions: want names such as login,custom_* or * for all, without spaces")
		}
	}
	if digits, hashed := strings.CutPrefix(fields[3], "sha256:"); hashed {
		hash, err := hex.DecodeString(digits)
		if err != nil || len(hash) != sha256.Size {
			return nil, errors.New("the token: sha256: and 64 hexadecimal digits")
		}
		copy(g.hash[:], hash)
		return g, nil
	}
	if len(fields[3]) < minTokenLen {
		return nil, fmt.Errorf("the token: shorter than %d characters; make one with openssl rand -hex 32", minTokenLen)
	}
	g.hash = sha256.Sum256([]byte(fields[3]))
	return g, nil
}

// find returns the grant of a token, nil if there is none. It takes equally long
// whichever it is, and compares hashes, whose bytes nobody can choose.
func find(grants []*grant, token string) *grant {
	hash := sha256.Sum256([]byte(token))
	var found *grant
	for _, g := range grants {
		if subtle.ConstantTimeCompare(hash[:], g.hash[:]) == 1 {
			found = g
		}
	}
	return found
}
