package credential

import "bytes"

// hashes are what systems store instead of a password. Whoever has one can try
// passwords against it at leisure, so it is masked like one. A digest without salt
// and scheme is no such hash, and stays.
func hashes() []Format {
	return []Format{
		{
			Name: "password_hash", Meaning: "the salted hash of a password: bcrypt, Argon2, scrypt, PBKDF2, crypt(3), LDAP",
			Source:   "https://man7.org/linux/man-pages/man5/crypt.5.html, https://docs.djangoproject.com/en/stable/topics/auth/passwords/",
			prefixes: []string{"2a$", "2b$", "2x$", "2y$", "1$", "5$", "6$", "y$", "gy$", "7$", "apr1$", "argon2", "pbkdf2", "scrypt", "SSHA", "SMD5", "CRYPT}"},
			match:    matchHash,
		},
	}
}

// hashByte is what such hashes consist of behind the name of their scheme.
var hashByte = newAlphabet("a-z", "A-Z", "0-9", ".", "/", "+", "=", ",", "_", "-", "$", ":")

const (
	// longestScheme is the longest name of a scheme: pbkdf2_sha512.
	longestScheme = 16
	// shortestDigest is the shortest last part of a hash: that of MD5 in crypt(3).
	shortestDigest = 22
)

// matchHash finds scheme$…$salt$digest, {SCHEME}base64 and scheme:n:n:n$salt$digest.
func matchHash(text []byte, i int) (start, end int, ok bool) {
	start = i
	if i > 0 && (text[i-1] == '$' || text[i-1] == '{') {
		start--
	} else if text[i] <= '9' || text[i] == 'y' || text[i] == 'g' || text[i] == 'C' {
		return 0, 0, false // $2b$, {CRYPT}
	}
	scheme := i
	for scheme < len(text) && scheme-i < longestScheme && (word[text[scheme]] || text[scheme] == '-') {
		scheme++
	}
	if scheme >= len(text) {
		return 0, 0, false
	}
	switch text[scheme] {
	case '}':
		if start == i {
			return 0, 0, false
		}
		end = run(text, scheme+1, base64Std, 0)
		if text[i] == 'C' {
			end = trimEnd(text, scheme, run(text, scheme+1, hashByte, 0))
		}
		return start, end, end-scheme-1 >= shortestDigest
	case '$', ':':
	default:
		return 0, 0, false
	}
	end = hashRun(text, scheme, 2*judged)
	if colon := bytes.IndexByte(text[scheme+1:end], ':'); text[scheme] == '$' && colon >= 0 {
		end = scheme + 1 + colon // of /etc/shadow
	} else if len(lastPart(text[scheme:end])) >= shortestDigest {
		end = hashRun(text, end, 0)
	}
	end = trimEnd(text, scheme, end)
	digest := lastPart(text[scheme:end])
	return start, end, len(digest) >= shortestDigest && len(digest) < end-scheme
}

// hashRun is the offset behind the bytes of a hash that begin at i, at most n of
// them if n > 0, and at the dollar sign that no hash has any more.
func hashRun(text []byte, i, n int) int {
	const mostParts = 6
	parts, start := 0, i
	for ; i < len(text) && hashByte[text[i]] && (n == 0 || i-start < n); i++ {
		if text[i] == '$' {
			if parts++; parts > mostParts {
				break
			}
		}
	}
	return i
}

// lastPart is what stands behind the last dollar sign, all of it if there is none.
func lastPart(hash []byte) []byte { return hash[bytes.LastIndexByte(hash, '$')+1:] }

// trimEnd leaves out what ends a sentence or a field and no hash.
func trimEnd(text []byte, from, end int) int {
	for end > from && (text[end-1] == ',' || text[end-1] == ':') {
		end--
	}
	return end
}
