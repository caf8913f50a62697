package bridge

import "testing"

func TestHeaderLength(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, format, piece, header string
	}{
		{"none", "JSONEachRow", "{\"a\":1}\n", ""},
		{"names", "TabSeparatedWithNames", "a\tb\n1\t2\n", "a\tb\n"},
		{"names and types", "TSVWithNamesAndTypes", "a\nUInt8\n1\n", "a\nUInt8\n"},
		{"names only", "TSVWithNames", "a\n", "a\n"},
		{"cut short", "TSVWithNamesAndTypes", "a\n", "a\n"},
		{"csv", "CSVWithNames", "\"a\",\"b\"\n1,2\n", "\"a\",\"b\"\n"},
		{"csv, line break and quotes in a name", "csvWithNames", "\"a\n\"\"b\"\n1\n", "\"a\n\"\"b\"\n"},
		{"csv, types", "CSVWithNamesAndTypes", "\"a\"\n\"UInt8\"\n1\n", "\"a\"\n\"UInt8\"\n"},
		{"binary", "RowBinaryWithNames", "\x02\x01a\x01b\x07", "\x02\x01a\x01b"},
		{"binary, types", "RowBinaryWithNamesAndTypes", "\x01\x01a\x05UInt8\x07", "\x01\x01a\x05UInt8"},
		{"binary, cut short", "RowBinaryWithNames", "\x02\x01a\x7fb", "\x02\x01a\x7fb"},
		{"binary, a size beyond any", "RowBinaryWithNames", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := headerLength(headerOf(test.format), []byte(test.piece))
			if want := len(test.header); got != want {
				t.Errorf("headerLength(%s, %q) = %d, want %d", test.format, test.piece, got, want)
			}
		})
	}
}

func FuzzHeaderLength(f *testing.F) {
	f.Add([]byte("a\tb\n1\t2\n"))
	f.Add([]byte("\x02\x01a\x01b\x07"))
	f.Fuzz(func(t *testing.T, piece []byte) {
		for kind := noHeader; kind <= unstreamable; kind++ {
			if got := headerLength(kind, piece); got < 0 || got > len(piece) {
				t.Fatalf("headerLength(%d, %q) = %d of %d", kind, piece, got, len(piece))
			}
		}
	})
}
