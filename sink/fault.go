package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// fault is an error of ClickHouse without its message, which may quote rows: the
// code and its name say what happened.
type fault struct {
	code int32
	text string
	// refusal tells that these rows will never be taken.
	refusal bool
	// unreachable tells that nobody answered.
	unreachable bool
	// final tells that waiting will not help either: the settings are wrong.
	final bool
}

// Error implements error.
func (f *fault) Error() string { return f.text }

// rowCodes are ClickHouse's codes for errors that lie in the rows. Whatever is
// not here is taken for ClickHouse's own trouble and waited for, since a row that
// is quarantined for a passing fault needs a person, and one that waits does not.
var rowCodes = map[int32]string{
	6:   "CANNOT_PARSE_TEXT",
	26:  "CANNOT_PARSE_QUOTED_STRING",
	27:  "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
	38:  "CANNOT_PARSE_DATE",
	41:  "CANNOT_PARSE_DATETIME",
	53:  "TYPE_MISMATCH",
	69:  "ARGUMENT_OUT_OF_BOUND",
	70:  "CANNOT_CONVERT_TYPE",
	72:  "CANNOT_PARSE_NUMBER",
	117: "INCORRECT_DATA",
	128: "TOO_LARGE_ARRAY_SIZE",
	131: "TOO_LARGE_STRING_SIZE",
	321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
	349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
	395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
	407: "DECIMAL_OVERFLOW",
	469: "VIOLATED_CONSTRAINT",
}

// finalCodes are the codes for settings that no waiting puts right.
var finalCodes = map[int32]string{
	62:  "SYNTAX_ERROR",
	192: "UNKNOWN_USER",
	194: "REQUIRED_PASSWORD",
	497: "ACCESS_DENIED",
	516: "AUTHENTICATION_FAILED",
}

// otherCodes are names of what an operator may meet. ClickHouse's own comes behind the
// statement, which it repeats, and is cut off behind that of a large look-up.
var otherCodes = map[int32]string{
	16:  "NO_SUCH_COLUMN_IN_TABLE",
	47:  "UNKNOWN_IDENTIFIER",
	60:  "UNKNOWN_TABLE",
	81:  "UNKNOWN_DATABASE",
	159: "TIMEOUT_EXCEEDED",
	164: "READONLY",
	202: "TOO_MANY_SIMULTANEOUS_QUERIES",
	241: "MEMORY_LIMIT_EXCEEDED",
	242: "TABLE_IS_READ_ONLY",
	243: "NOT_ENOUGH_SPACE",
	252: "TOO_MANY_PARTS",
	285: "TOO_FEW_LIVE_REPLICAS",
	319: "UNKNOWN_STATUS_OF_INSERT",
	999: "KEEPER_EXCEPTION",
}

var codeName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,63}$`)

// faultOf makes a *fault of an error of clickhouse-go, nil of nil. The end of a
// context stays what it is.
func faultOf(err error) error {
	var exception *clickhouse.Exception
	var status *clickhouse.HTTPError
	var address *url.Error
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exception):
		return exceptionFault(exception)
	case errors.As(err, &status):
		return &fault{text: fmt.Sprintf("clickhouse: HTTP %d without an error of ClickHouse", status.StatusCode), unreachable: true}
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &address):
		// Its text has the address with every parameter.
		return &fault{text: "clickhouse: " + address.Err.Error(), unreachable: true}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return &fault{text: "clickhouse: " + err.Error(), unreachable: true}
	case errors.Is(err, clickhouse.ErrAcquireConnTimeout), errors.Is(err, clickhouse.ErrConnectionClosed):
		return &fault{text: "clickhouse: " + err.Error(), unreachable: true}
	}
	return &fault{text: fmt.Sprintf("clickhouse: client error %T", err)}
}

func exceptionFault(e *clickhouse.Exception) *fault {
	_, refusal := rowCodes[e.Code]
	_, final := finalCodes[e.Code]
	label := e.CodeName
	for _, names := range []map[int32]string{rowCodes, finalCodes, otherCodes} {
		if known, ok := names[e.Code]; ok {
			label = known
		}
	}
	if !codeName.MatchString(label) {
		label = "see ClickHouse's own log"
	}
	return &fault{code: e.Code, text: fmt.Sprintf("clickhouse: code %d (%s)", e.Code, label), refusal: refusal, final: final}
}

// unreachable tells whether the error is that nobody answered.
func unreachable(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.unreachable
}
