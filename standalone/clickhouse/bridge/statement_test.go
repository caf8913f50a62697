package bridge

import (
	"strings"
	"testing"
)

func TestSplitInsert(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text              string
		statement, format, data string
		carriesData             bool
	}{
		{"values", "INSERT INTO t VALUES (1)", "INSERT INTO t ", "Values", " (1)", true},
		{"values without a blank", "insert into t values(1)", "insert into t ", "Values", "(1)", true},
		{"columns", "INSERT INTO db.t (a, `b)`) VALUES (1, 2)", "INSERT INTO db.t (a, `b)`) ", "Values", " (1, 2)", true},
		{"format and line break", "INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", "1,2\n", true},
		{"format and carriage return", "INSERT INTO t FORMAT CSV \r\n1", "INSERT INTO t ", "CSV", "1", true},
		{"format and blank", "INSERT INTO t FORMAT JSONEachRow {\"a\":1}", "INSERT INTO t ", "JSONEachRow", "{\"a\":1}", true},
		{"only one line break is skipped", "INSERT INTO t FORMAT Native\n\n\x00\xff", "INSERT INTO t ", "Native", "\n\x00\xff", true},
		{"format at the end", "INSERT INTO t FORMAT Native", "INSERT INTO t ", "Native", "", true},
		{"settings", "INSERT INTO t SETTINGS a = 1, b = 'FORMAT' FORMAT TSV\nx", "INSERT INTO t SETTINGS a = 1, b = 'FORMAT' ", "TSV", "x", true},
		{"function", "INSERT INTO FUNCTION null('a UInt8') VALUES (1)", "INSERT INTO FUNCTION null('a UInt8') ", "Values", " (1)", true},
		{"table keyword", "INSERT INTO TABLE t VALUES (1)", "INSERT INTO TABLE t ", "Values", " (1)", true},
		{"no into", "INSERT t VALUES (1)", "INSERT t ", "Values", " (1)", true},
		{"table called values", "INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", " (1)", true},
		{"database called format", "INSERT INTO format.format FORMAT CSV\n1", "INSERT INTO format.format ", "CSV", "1", true},
		{"parameter as name", "INSERT INTO {t:Identifier} VALUES (1)", "INSERT INTO {t:Identifier} ", "Values", " (1)", true},
		{"comments", "/* INSERT INTO x VALUES */ INSERT -- VALUES\nINTO t # FORMAT\nVALUES (1)", "/* INSERT INTO x VALUES */ INSERT -- VALUES\nINTO t # FORMAT\n", "Values", " (1)", true},
		{"no format", "INSERT INTO t", "INSERT INTO t", "Values", "", true},
		{"no format, semicolon", "INSERT INTO t (a);", "INSERT INTO t (a)", "Values", "", true},

		{name: "select", text: "INSERT INTO t SELECT 1"},
		{name: "select in brackets", text: "INSERT INTO t (SELECT 1)"},
		{name: "with", text: "INSERT INTO t WITH 1 AS x SELECT x"},
		{name: "columns and select", text: "INSERT INTO t (a) SELECT 1 FORMAT Null"},
		{name: "file of the client", text: "INSERT INTO t FROM INFILE 'x' FORMAT CSV"},
		{name: "other statement", text: "SELECT 'INSERT INTO t VALUES'"},
		{name: "explain", text: "EXPLAIN INSERT INTO t VALUES (1)"},
		{name: "nothing", text: ""},
		{name: "insert alone", text: "INSERT"},
		{name: "open quote", text: "INSERT INTO `t VALUES (1)"},
		{name: "format without a name", text: "INSERT INTO t FORMAT 'x'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := splitInsert(test.text)
			if ok != test.carriesData {
				t.Fatalf("splitInsert(%q) = %+v, %t, want %t", test.text, got, ok, test.carriesData)
			}
			if !ok {
				return
			}
			want := insertHead{statement: test.statement, format: test.format, dataStart: len(test.text) - len(test.data)}
			if got != want {
				t.Errorf("splitInsert(%q) = %+v, want %+v", test.text, got, want)
			}
		})
	}
}

func TestOutputFormat(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT 1":                               "",
		"SELECT 1 FORMAT JSON":                   "JSON",
		"SELECT 1 format json;":                  "json",
		"SELECT 1 FORMAT CSV SETTINGS a=1":       "CSV",
		"SELECT 1 SETTINGS a=1 FORMAT CSV":       "CSV",
		"SELECT 'FORMAT JSON'":                   "",
		"SELECT \"FORMAT\" JSON":                 "",
		"SELECT 1 -- FORMAT JSON":                "",
		"SELECT 1 /* FORMAT JSON */":             "",
		"SELECT * FROM (SELECT 1 FORMAT x)":      "",
		"SELECT $$ FORMAT JSON $$":               "",
		"SELECT 'it''s \\' FORMAT x' FORMAT CSV": "CSV",
		"SELECT 1 FORMAT":                        "",
	} {
		if got := outputFormat(text); got != want {
			t.Errorf("outputFormat(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTouchesLocalFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"SELECT 1 INTO OUTFILE 'x'":                   true,
		"select 1 into\n/* */ outfile 'x' format CSV": true,
		"INSERT INTO t FROM INFILE 'x' FORMAT CSV":    true,
		"SELECT 'INTO OUTFILE'":                       false,
		"SELECT 1 -- INTO OUTFILE":                    false,
		"INSERT INTO outfile SELECT 1":                true, // refused rather than guessed at
		"SELECT infile FROM t":                        false,
	} {
		if got := touchesLocalFile(text); got != want {
			t.Errorf("touchesLocalFile(%q) = %t, want %t", text, got, want)
		}
	}
}

func TestQuoting(t *testing.T) {
	t.Parallel()
	if got, want := quoteString(`a'b\c`), `'a\'b\\c'`; got != want {
		t.Errorf("quoteString = %s, want %s", got, want)
	}
	if got, want := quoteName("a`b\\c"), "`a\\`b\\\\c`"; got != want {
		t.Errorf("quoteName = %s, want %s", got, want)
	}
}

// FuzzStatement holds that any text is read to its end, that the parts of an
// INSERT add up to it, and that a quoted text stays one token.
func FuzzStatement(f *testing.F) {
	for _, seed := range []string{
		"INSERT INTO t VALUES (1)", "INSERT INTO t FORMAT CSV\n1", "SELECT 'a' FORMAT JSON", "$a$ $a$", "/* ", "--", "`", "'\\", "INSERT INTO t (a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		scan(text, func(token, _ token) {
			if token.start < end || token.end > len(text) || text[token.start:token.end] != token.text {
				t.Fatalf("token %+v behind %d in %q", token, end, text)
			}
			end = token.end
		})
		if head, ok := splitInsert(text); ok {
			if head.dataStart < len(head.statement) || head.dataStart > len(text) || !strings.HasPrefix(text, head.statement) {
				t.Fatalf("splitInsert(%q) = %+v", text, head)
			}
		}
		for _, quoted := range []string{quoteString(text), quoteName(text)} {
			if whole := (&lexer{text: quoted}).next(); whole.text != quoted {
				t.Fatalf("%q is cut to %q", quoted, whole.text)
			}
		}
	})
}
