package chdb

import (
	"runtime"
	"unsafe"
)

// Class says what a statement does to state that outlives it.
type Class uint32

// The classes as the library numbers them.
const (
	ReadOnly       Class = iota // SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS, CHECK.
	Mutating                    // INSERT, CREATE, ALTER, DROP, OPTIMIZE and their like.
	MutatingGlobal              // Functions, users, named collections, writes to system.
	Control                     // USE, SET, SYSTEM, KILL, ATTACH, BACKUP, INTO OUTFILE.
	Unknown                     // The text does not parse.
)

// analysis is chdb_query_analysis_v1.
type analysis struct {
	structSize     uint32
	statementCount uint32
	_              uint32 // flags
	class          uint32
}

// Classify parses text with the engine's own parser, without running it, and
// gives the number of statements in it and the most restricted class of them.
func (c *Conn) Classify(text string) (statements int, class Class) {
	out := &analysis{class: uint32(Unknown)}
	out.structSize = uint32(unsafe.Sizeof(*out))
	if c.lib.classify(c.inner, bytesOf(text), uintptr(len(text)), nil, 0, out) != success {
		return 0, Unknown
	}
	runtime.KeepAlive(text)
	return int(out.statementCount), Class(out.class)
}
