package bridge

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// headerKind says what a format writes in front of its rows. The engine formats
// a streamed result piece by piece, so what stands in front comes with every
// piece, and all but the first must be cut off again.
type headerKind int

const (
	noHeader     headerKind = iota
	oneLine                 // names
	twoLines                // names, types
	oneRecord               // names, in CSV, where a quoted one may hold line breaks
	twoRecords              // names, types, in CSV
	binaryNames             // a count and as many strings
	binaryTypes             // a count and twice as many strings
	unstreamable            // one document: the pieces do not add up to it
)

// headers lists the formats whose pieces do add up. Every other format is
// written in one go.
var headers = map[string]headerKind{
	"native": noHeader, "null": noHeader,
	"tabseparated": noHeader, "tsv": noHeader, "raw": noHeader, "tabseparatedraw": noHeader, "tsvraw": noHeader,
	"csv": noHeader, "rowbinary": noHeader, "msgpack": noHeader, "tskv": noHeader, "lineasstring": noHeader, "rawblob": noHeader,
	"jsoneachrow": noHeader, "jsonlines": noHeader, "ndjson": noHeader, "jsonstringseachrow": noHeader,
	"jsoncompacteachrow": noHeader, "jsoncompactstringseachrow": noHeader,

	"tabseparatedwithnames": oneLine, "tsvwithnames": oneLine, "tabseparatedrawwithnames": oneLine, "tsvrawwithnames": oneLine,
	"jsoncompacteachrowwithnames": oneLine, "jsoncompactstringseachrowwithnames": oneLine,
	"tabseparatedwithnamesandtypes": twoLines, "tsvwithnamesandtypes": twoLines,
	"tabseparatedrawwithnamesandtypes": twoLines, "tsvrawwithnamesandtypes": twoLines,
	"jsoncompacteachrowwithnamesandtypes": twoLines, "jsoncompactstringseachrowwithnamesandtypes": twoLines,
	"csvwithnames": oneRecord, "csvwithnamesandtypes": twoRecords,
	"rowbinarywithnames": binaryNames, "rowbinarywithnamesandtypes": binaryTypes,
}

func headerOf(format string) headerKind {
	if kind, ok := headers[strings.ToLower(format)]; ok {
		return kind
	}
	return unstreamable
}

// headerLength gives the number of bytes in front of the rows of a piece.
func headerLength(kind headerKind, piece []byte) int {
	switch kind {
	case oneLine:
		return lines(piece, 1)
	case twoLines:
		return lines(piece, 2)
	case oneRecord:
		return records(piece, 1)
	case twoRecords:
		return records(piece, 2)
	case binaryNames:
		return binaryStrings(piece, 1)
	case binaryTypes:
		return binaryStrings(piece, 2)
	default:
		return 0
	}
}

func lines(piece []byte, n int) int {
	length := 0
	for ; n > 0; n-- {
		end := bytes.IndexByte(piece[length:], '\n')
		if end < 0 {
			return len(piece)
		}
		length += end + 1
	}
	return length
}

func records(piece []byte, n int) int {
	quoted := false
	for i, c := range piece {
		switch {
		case c == '"':
			quoted = !quoted // a doubled quote toggles twice
		case c == '\n' && !quoted:
			if n--; n == 0 {
				return i + 1
			}
		}
	}
	return len(piece)
}

func binaryStrings(piece []byte, perColumn uint64) int {
	columns, length := binary.Uvarint(piece)
	if length <= 0 {
		return len(piece)
	}
	for ; columns > 0 && perColumn > 0; perColumn-- {
		for range columns {
			size, n := binary.Uvarint(piece[length:])
			if n <= 0 || size > uint64(len(piece)-length-n) {
				return len(piece)
			}
			length += n + int(size)
		}
	}
	return length
}

// contentType is the media type that ClickHouse sends for a format.
func contentType(format string) string {
	switch name := strings.ToLower(format); {
	case strings.HasPrefix(name, "tabseparated"), strings.HasPrefix(name, "tsv"), name == "raw":
		return "text/tab-separated-values; charset=UTF-8"
	case name == "csv":
		return "text/csv; charset=UTF-8; header=absent"
	case strings.HasPrefix(name, "csv"):
		return "text/csv; charset=UTF-8; header=present"
	case strings.HasPrefix(name, "json") && strings.Contains(name, "eachrow"), name == "jsonlines", name == "ndjson":
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(name, "json"):
		return "application/json; charset=UTF-8"
	case name == "xml":
		return "application/xml; charset=UTF-8"
	case name == "markdown":
		return "text/markdown; charset=UTF-8"
	case strings.HasPrefix(name, "rowbinary"), name == "native", name == "parquet", name == "arrow", name == "arrowstream",
		name == "orc", name == "avro", name == "msgpack", name == "protobuf", name == "npy", name == "bsoneachrow", name == "rawblob":
		return "application/octet-stream"
	default:
		return "text/plain; charset=UTF-8"
	}
}
