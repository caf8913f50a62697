package notifier

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"sluice/schemas/jsontoken"
)

// fingerprintVersion is the way in which fingerprints are made. Another way is
// another version: all open groups then begin anew.
const fingerprintVersion = "v1"

// fingerprint is what makes two events the same trouble, and how that was found.
type fingerprint struct {
	// text is the version, a colon and 32 hexadecimal digits.
	text string
	// basis says for a person what was compared.
	basis string
}

// What a fingerprint can be based on.
const (
	basisOwn       = "the event's own context.fingerprint"
	basisFrames    = "app, exception type and the innermost frames of its own code"
	basisException = "app, exception type and what it says"
	basisMessage   = "app and message"
	basisVersion   = "product and version"
	basisStorm     = "none: more new alerts in the app than are told one by one"
	basisOverflow  = "none: more groups than are kept apart"
)

// fingerprintFrames is how many frames are compared: enough to tell two callers
// of the same helper apart, few enough for a deeper caller not to matter.
const fingerprintFrames = 5

// trouble is what of an event its fingerprint may be based on.
type trouble struct {
	own       []string
	app       string
	exception exception
	message   string
}

// fingerprintOf applies the first of these that the event has: its own
// fingerprint, an exception with its frames, an exception, a message. Line
// numbers are not compared, and texts only after normalise, so that neither a
// new release nor another user's id makes it another trouble.
func fingerprintOf(t trouble) fingerprint {
	e := t.exception
	switch {
	case len(t.own) > 0:
		return fingerprint{digest(append([]string{"own"}, t.own...)...), basisOwn}
	case len(e.frames) > 0:
		parts := []string{"frames", t.app, normalise(e.kind)}
		for _, f := range e.ownFrames(fingerprintFrames) {
			parts = append(parts, normalise(f.file), normalise(f.function))
		}
		return fingerprint{digest(parts...), basisFrames}
	case e.kind != "":
		said := e.value
		if said == "" {
			said = t.message
		}
		return fingerprint{digest("exception", t.app, normalise(e.kind), normalise(said)), basisException}
	case t.message == "" && e.text != "":
		return fingerprint{digest("message", t.app, normalise(e.text)), basisMessage}
	}
	return fingerprint{digest("message", t.app, normalise(t.message)), basisMessage}
}

// digest is a fingerprint of the parts: 128 bits of their SHA-256, each with its
// length before it so that no two lists look the same.
func digest(parts ...string) string {
	return fingerprintVersion + ":" + hexDigest(parts...)
}

func hexDigest(parts ...string) string { return hex.EncodeToString(rawDigest(parts...)) }

func rawDigest(parts ...string) []byte {
	h := sha256.New()
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)[:16]
}

// maxOwnParts is how many parts of a context.fingerprint are read.
const maxOwnParts = 32

// readOwnFingerprint reads context.fingerprint: text, or a list of texts; of each
// the first maxOwnBytes count.
func readOwnFingerprint(t *jsontoken.Tape, context int) []string {
	i, ok := t.Member(context, "fingerprint")
	if !ok {
		return nil
	}
	if text := scalarText(t, i, maxOwnBytes); text != "" {
		return []string{text}
	}
	if t.Tokens[i].Kind != jsontoken.Array {
		return nil
	}
	var parts []string
	for k := i + 1; k < int(t.Tokens[i].Next) && len(parts) < maxOwnParts; k = int(t.Tokens[k].Next) {
		if text := scalarText(t, k, maxOwnBytes); text != "" {
			parts = append(parts, text)
		}
	}
	return parts
}

// maxOwnBytes is how much of each part of a context.fingerprint is compared.
const maxOwnBytes = 4 << 10
