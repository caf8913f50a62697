package notifier

import "net/netip"

// The forms that a message gives to ids, times and addresses. Each matcher
// returns the length of what it recognises at the beginning of s, 0 for nothing,
// and looks at a bounded number of bytes.

// matchUUID recognises 8-4-4-4-12 hexadecimal digits.
func matchUUID(s string) int {
	const size = 36
	if len(s) < size {
		return 0
	}
	for i := range size {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && !isHex(s[i]) {
			return 0
		}
	}
	return size
}

// matchTime recognises 2006-01-02, 15:04:05, both together as RFC 3339 or a log
// has them, with fraction and zone.
func matchTime(s string) int {
	date := matchDigits(s, "dddd-dd-dd")
	if date == 0 {
		date = matchDigits(s, "dddd/dd/dd")
	}
	if date == 0 {
		return matchClock(s)
	}
	if len(s) > date+1 && (s[date] == 'T' || s[date] == 't' || s[date] == ' ') {
		if clock := matchClock(s[date+1:]); clock > 0 {
			return date + 1 + clock
		}
	}
	return date
}

// maxFraction bounds how many digits of a second are looked at: nanoseconds.
const maxFraction = 9

func matchClock(s string) int {
	size := matchDigits(s, "dd:dd:dd")
	if size == 0 {
		return 0
	}
	if size+1 < len(s) && (s[size] == '.' || s[size] == ',') && isDigit(s[size+1]) {
		size++
		for n := 0; n < maxFraction && size < len(s) && isDigit(s[size]); n++ {
			size++
		}
	}
	rest := s[size:]
	switch {
	case rest != "" && (rest[0] == 'Z' || rest[0] == 'z'):
		return size + 1
	case rest != "" && (rest[0] == '+' || rest[0] == '-'):
		if zone := matchDigits(rest[1:], "dd:dd"); zone > 0 {
			return size + 1 + zone
		}
		if zone := matchDigits(rest[1:], "dddd"); zone > 0 {
			return size + 1 + zone
		}
	}
	return size
}

// matchDigits compares s with a form in which d is a digit.
func matchDigits(s, form string) int {
	if len(s) < len(form) {
		return 0
	}
	for i := range len(form) {
		if form[i] == 'd' && !isDigit(s[i]) || form[i] != 'd' && s[i] != form[i] {
			return 0
		}
	}
	return len(form)
}

// maxAddress is the longest text of an address that is looked at: IPv6 with an
// IPv4 address in it.
const maxAddress = 45

// matchIP recognises IPv4 and IPv6 addresses; a port or prefix length behind one
// is an ordinary number.
func matchIP(s string) int {
	window := s[:min(len(s), maxAddress+1)]
	size := span(window, func(c byte) bool { return isHex(c) || c == ':' || c == '.' })
	if size > maxAddress {
		return 0
	}
	dots, colons := 0, 0
	for i := range size {
		switch window[i] {
		case '.':
			dots++
		case ':':
			colons++
		}
	}
	if dots < 3 && colons < 2 {
		return 0
	}
	for size > 0 {
		candidate := window[:size]
		if _, err := netip.ParseAddr(candidate); err == nil {
			return size
		}
		// A colon and port, or the end of the sentence, may stand behind it.
		size--
		for size > 0 && isHex(window[size]) {
			size--
		}
	}
	return 0
}
