package chdb

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Error is an exception of the engine. Its text may quote the statement and the
// data, so it goes to the client that sent them and to nobody else.
type Error struct {
	// Code is ClickHouse's error code, 1002 (UNKNOWN_EXCEPTION) when the engine
	// gave none.
	Code int
	// Message is the whole text, from "Code: " to the name in brackets.
	Message string
}

// Error gives the engine's whole message.
func (e *Error) Error() string { return e.Message }

// ErrNotStreamable says that a statement gives its output in one go only: the
// engine streams SELECT, and not SHOW, DESCRIBE and their like. Nothing has run;
// use [Conn.Query].
var ErrNotStreamable = errors.New("statement cannot be streamed")

// notStreamable begins the engine's message for that.
const notStreamable = "Code: 36. DB::Exception: Streaming query is not supported for query"

// CodeUnknownException is ClickHouse's code for an error that has no other.
const CodeUnknownException = 1002

// errorHead finds the code. The library puts "Error: " in front of some.
var errorHead = regexp.MustCompile(`(?s)^(?:Error: )?(?:Code: (\d+)\. )`)

func parseError(message string) *Error {
	message = strings.TrimRight(message, "\n ")
	match := errorHead.FindStringSubmatch(message)
	if match == nil {
		return &Error{Code: CodeUnknownException, Message: "Code: 1002. DB::Exception: " + message + " (UNKNOWN_EXCEPTION)"}
	}
	code, err := strconv.Atoi(match[1])
	if err != nil {
		code = CodeUnknownException
	}
	return &Error{Code: code, Message: strings.TrimPrefix(message, "Error: ")}
}
