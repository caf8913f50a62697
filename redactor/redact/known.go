package redact

import (
	"encoding/binary"
	"math/bits"
)

const (
	knownSets = 128 // a power of two; an organisation's events repeat some hundred texts
	knownWays = 4   // texts that may share a place
	knownText = 160 // bytes; a longer text is searched each time
	knownOnce = 1024
)

// knownTexts remembers texts of events, as they stand in the JSON, in which there
// was no secret: half of what an event says was said by the one before it, the
// browser, the city, the brand. It compares them byte by byte, since one that is
// taken for another would be a leak.
type knownTexts struct {
	sets [knownSets]struct {
		tags  [knownWays]uint32 // of the texts, so that most are not compared in vain
		sizes [knownWays]uint8
		texts [knownWays][knownText]byte
	}
	turn uint8 // the way that is given up next
	// once are tags of texts that came once: most of these, identifiers and times,
	// never come again, and would push out those that do.
	once [knownOnce]uint32
}

// tagOf is the tag of a text, by its hash and whether it is read as a query string.
func tagOf(sum uint64, form bool) uint32 {
	tag := uint32(sum>>32) &^ 1
	if form {
		tag |= 1
	}
	return tag
}

// has reports whether the text with that hash is known.
func (k *knownTexts) has(sum uint64, text []byte, form bool) bool {
	set, tag := &k.sets[sum%knownSets], tagOf(sum, form)
	for way := range &set.tags {
		if set.tags[way] == tag {
			return string(set.texts[way][:min(set.sizes[way], knownText)]) == string(text)
		}
	}
	return false
}

// add remembers a text that comes for the second time, in the place of another.
func (k *knownTexts) add(sum uint64, text []byte, form bool) {
	tag := tagOf(sum, form)
	if once := &k.once[sum%knownOnce]; *once != tag {
		*once = tag
		return
	}
	k.turn++
	set, way := &k.sets[sum%knownSets], k.turn%knownWays
	set.tags[way], set.sizes[way] = tag, uint8(copy(set.texts[way][:], text))
}

// hash spreads short texts over the places of a cache, by their first and last
// bytes and the length: whoever makes texts that share a place gains no more than
// that they are read anew.
func hash(text []byte) uint64 {
	var first, last uint64
	switch n := len(text); {
	case n >= 16:
		first = binary.LittleEndian.Uint64(text)
		last = binary.LittleEndian.Uint64(text[n-8:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(text[n/2-4:]), 32)
	case n >= 8:
		first, last = binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:])
	case n >= 4:
		first, last = uint64(binary.LittleEndian.Uint32(text)), uint64(binary.LittleEndian.Uint32(text[n-4:]))
	case n > 0:
		first, last = uint64(text[0]), uint64(text[n/2])<<8|uint64(text[n-1])
	}
	high, low := bits.Mul64(first^0x9e3779b97f4a7c15, last^uint64(len(text))*0xd6e8feb86659fd93)
	return high ^ low
}
