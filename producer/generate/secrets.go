package generate

import "strconv"

// Secret is a credential that stands in an event: made up, and recognisable.
type Secret struct {
	// Value is the credential itself. Unless it is a number it begins with the
	// seed's [Marker]. No other secret of the run has the same.
	Value string
	// Encoded is Value as it stands in the event's bytes, inside the quotes if
	// it is a string: percent-encoded, with JSON escapes, or as it is.
	Encoded string
	// Pointer is the JSON Pointer (RFC 6901) of the leaf that holds it.
	Pointer string
	// Carrier names the way in which it stands there; see [Carriers].
	Carrier string
}

// planter plants secrets, the carriers taking turns.
type planter struct {
	marker   string
	number   uint64 // what number secrets begin with, times 10^8
	random   random
	carriers []carrier
	turn     int // the carrier whose turn it is
	count    int // secrets made so far
}

func newPlanter(seed uint64, r random) *planter {
	// 16 digits that a float64 still holds exactly: 8 that are the seed's, the
	// first of them an 8, and 8 that count.
	const counted = 100_000_000
	number := uint64(80_000_000+r.below(10_000_000)) * counted
	return &planter{marker: Marker(seed), number: number, random: r, carriers: carriers()}
}

// due decides whether the next event carries a secret.
func (p *planter) due(rate float64) bool {
	return p.random.chance(rate)
}

// plant puts one or more secrets into the event by the next carrier that it has
// a place for. Every event has a place for most of them.
func (p *planter) plant(d *draft) {
	for range p.carriers {
		c := p.carriers[p.turn]
		p.turn = (p.turn + 1) % len(p.carriers)
		if c.fits == nil || c.fits(d) {
			c.plant(p, d, c.name)
			return
		}
	}
}

// value makes a secret that ends in suffix.
func (p *planter) value(suffix string) string {
	p.count++
	b := make([]byte, 0, 64)
	b = append(b, p.marker...)
	b = strconv.AppendInt(b, int64(p.count), 10)
	b = append(b, '-')
	for range 10 {
		b = append(b, "abcdefghijklmnopqrstuvwxyz0123456789"[p.random.below(36)])
	}
	return string(append(b, suffix...))
}

// numeric makes a secret that is a number.
func (p *planter) numeric() string {
	p.count++
	return strconv.FormatUint(p.number+uint64(p.count), 10)
}

// percentEncode encodes value for a query string: all but the unreserved
// characters of RFC 3986.
func percentEncode(value string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 2*len(value))
	for i := range len(value) {
		switch c := value[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}
