package bridge

import (
	"errors"
	"net/http"
	"testing"

	"sluice/standalone/clickhouse/chdb"
)

func TestExceptionText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, message, want string }{
		{"plain", "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)", "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE) (version 26.7 (embedded))\n"},
		{"with a version", "Code: 62. DB::Exception: Bad. (SYNTAX_ERROR) (version 26.7.2.1)", "Code: 62. DB::Exception: Bad. (SYNTAX_ERROR) (version 26.7 (embedded))\n"},
		{"with an official version", "Code: 62. DB::Exception: Bad. (SYNTAX_ERROR) (version 26.7.2.1 (official build))", "Code: 62. DB::Exception: Bad. (SYNTAX_ERROR) (version 26.7 (embedded))\n"},
	} {
		if got := exceptionText(&chdb.Error{Message: test.message}, "26.7"); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestAsException(t *testing.T) {
	t.Parallel()
	raised := exception(codeSyntaxError, "Empty query")
	if got := asException(raised); got != raised {
		t.Errorf("got %v, want the same", got)
	}
	if got, want := asException(errors.New("broken pipe")).Message, "Code: 1002. DB::Exception: broken pipe. (UNKNOWN_EXCEPTION)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]int{
		60: http.StatusNotFound, 62: http.StatusBadRequest, 164: http.StatusInternalServerError, 516: http.StatusForbidden, 194: http.StatusUnauthorized,
		159: http.StatusRequestTimeout, 229: http.StatusRequestEntityTooLarge, 241: http.StatusInternalServerError, 48: http.StatusNotImplemented,
	} {
		if got := statusOf(code); got != want {
			t.Errorf("statusOf(%d) = %d, want %d", code, got, want)
		}
	}
}
