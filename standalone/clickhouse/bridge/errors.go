package bridge

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"sluice/standalone/clickhouse/chdb"
)

// The codes of ClickHouse's exceptions that the bridge raises itself.
const (
	codeBadArguments        = 36
	codeChecksumMismatch    = 40
	codeNotImplemented      = 48
	codeSyntaxError         = 62
	codeUnknownTypeOfQuery  = 78
	codeUnknownCompression  = 89
	codeReadOnly            = 164
	codeQueryIsTooLarge     = 229
	codeAborted             = 236
	codeCannotDecompress    = 271
	codeOutfileNotAllowed   = 358
	codeSessionNotFound     = 372
	codeSessionIsLocked     = 373
	codeInvalidTimeout      = 374
	codeAuthenticationFails = 516
	codeUnknownException    = chdb.CodeUnknownException
)

var codeNames = map[int]string{
	codeBadArguments:        "BAD_ARGUMENTS",
	codeChecksumMismatch:    "CHECKSUM_DOESNT_MATCH",
	codeNotImplemented:      "NOT_IMPLEMENTED",
	codeSyntaxError:         "SYNTAX_ERROR",
	codeUnknownTypeOfQuery:  "UNKNOWN_TYPE_OF_QUERY",
	codeUnknownCompression:  "UNKNOWN_COMPRESSION_METHOD",
	codeReadOnly:            "READONLY",
	codeQueryIsTooLarge:     "QUERY_IS_TOO_LARGE",
	codeAborted:             "ABORTED",
	codeCannotDecompress:    "CANNOT_DECOMPRESS",
	codeOutfileNotAllowed:   "INTO_OUTFILE_NOT_ALLOWED",
	codeSessionNotFound:     "SESSION_NOT_FOUND",
	codeSessionIsLocked:     "SESSION_IS_LOCKED",
	codeInvalidTimeout:      "INVALID_SESSION_TIMEOUT",
	codeAuthenticationFails: "AUTHENTICATION_FAILED",
	codeUnknownException:    "UNKNOWN_EXCEPTION",
}

// exception makes an error in the shape of the engine's own.
func exception(code int, format string, args ...any) *chdb.Error {
	text := fmt.Sprintf(format, args...)
	return &chdb.Error{Code: code, Message: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code, text, codeNames[code])}
}

// errReadOnly is what a statement that writes gets when it comes by GET.
var errReadOnly = exception(codeReadOnly, "default: Cannot execute query in readonly mode")

// asException gives any error an exception's shape.
func asException(err error) *chdb.Error {
	if raised, ok := errors.AsType[*chdb.Error](err); ok {
		return raised
	}
	return exception(codeUnknownException, "%s", strings.TrimSuffix(err.Error(), "."))
}

// versionSuffix is what the engine appends to some messages and not to others.
var versionSuffix = regexp.MustCompile(`( \(version [^()]*(\([^()]*\))?\))+$`)

// exceptionText is the body of an error response.
func exceptionText(raised *chdb.Error, version string) string {
	return versionSuffix.ReplaceAllString(raised.Message, "") + " (version " + version + " (embedded))\n"
}

// statusOf maps an exception's code to an HTTP status, as ClickHouse does in
// its exceptionCodeToHTTPStatus.
func statusOf(code int) int {
	switch code {
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 192, 193, 497, 512, 516: // users, passwords, access
		return http.StatusForbidden
	case 6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676:
		// The statement or its data is at fault.
		return http.StatusBadRequest
	case 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511: // an unknown table, function, setting …
		return http.StatusNotFound
	case 229: // QUERY_IS_TOO_LARGE
		return http.StatusRequestEntityTooLarge
	case 48: // NOT_IMPLEMENTED
		return http.StatusNotImplemented
	case 76, 209, 439: // CANNOT_OPEN_FILE, SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
		return http.StatusServiceUnavailable
	case 381: // HTTP_LENGTH_REQUIRED
		return http.StatusLengthRequired
	case 159: // TIMEOUT_EXCEEDED
		return http.StatusRequestTimeout
	case 779: // UNSUPPORTED_MEDIA_TYPE
		return http.StatusUnsupportedMediaType
	}
	return http.StatusInternalServerError
}
