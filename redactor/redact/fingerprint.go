package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// fingerprintBytes is how much of the digest is shown: 128 bits, far more than
// two different tokens could share by chance.
const fingerprintBytes = 16

// Of returns the fingerprint of a secret, "<key id>:<32 hex digits>": the same
// for the same secret and key wherever it stood and however it was encoded there.
func (f *Fingerprints) Of(secret []byte) string {
	mac := hmac.New(sha256.New, f.Key)
	mac.Write(secret)
	return f.KeyID + ":" + hex.EncodeToString(mac.Sum(nil)[:fingerprintBytes])
}

// Validate reports what is wrong with the key or its id.
func (f *Fingerprints) Validate() error {
	var err error
	if len(f.Key) != sha256.Size {
		err = errors.New("fingerprint key: must be 32 bytes")
	}
	if f.KeyID == "" || len(f.KeyID) > 16 || strings.ContainsFunc(f.KeyID, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-'
	}) {
		err = errors.Join(err, errors.New("fingerprint key id: must be 1 to 16 letters, digits, - and _"))
	}
	return err
}
