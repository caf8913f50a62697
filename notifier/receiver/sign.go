package receiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signer signs as Standard Webhooks 1.0 says: HMAC-SHA256 over id, time and body,
// once for each active secret, so that the other side can change from one to the
// next.
type signer [][]byte

// maxSigningSecrets is the one in use and the one before or after it.
const maxSigningSecrets = 2

// The specification's bounds of a secret.
const (
	minSigningBytes = 24
	maxSigningBytes = 64
)

func openSigner(env Env, secrets []secret) (signer, error) {
	var s signer
	for _, from := range secrets {
		text, err := from.read(env)
		if err != nil {
			return nil, err
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		if err != nil {
			return nil, fmt.Errorf("%s: want whsec_ and base64", from.key)
		}
		if len(key) < minSigningBytes || len(key) > maxSigningBytes {
			return nil, fmt.Errorf("%s: want %d to %d bytes: echo whsec_$(openssl rand -base64 32)", from.key, minSigningBytes, maxSigningBytes)
		}
		s = append(s, key)
	}
	if len(s) == 2 && string(s[0]) == string(s[1]) {
		return nil, errors.New("signing_secrets: both are the same")
	}
	return s, nil
}

// headers returns the id, by which the other side knows a repetition, and, if
// there are secrets, time and signatures.
func (s signer) headers(id string, at time.Time, body []byte) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	if len(s) == 0 {
		return h
	}
	unix := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, 0, len(s))
	for _, key := range s {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, unix)
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set("webhook-timestamp", unix)
	h.Set("webhook-signature", strings.Join(signatures, " "))
	return h
}
