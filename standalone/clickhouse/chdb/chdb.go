// Package chdb runs ClickHouse inside this process through libchdb, without cgo.
//
// It owns the C interface of that one library: loading it, opening an engine on
// a directory, and on the engine's connections running statements, streaming
// results and streaming inserts. It promises that every C object is freed once
// and that engine errors arrive as [*Error] with ClickHouse's own code.
//
// It refuses to be more than that: no SQL is read here, nothing is retried, and
// nothing is logged, because statements and rows may carry what nobody else may
// see.
package chdb

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// handle is a pointer that the library gave out. It is never dereferenced here.
type handle uintptr

// success is CHDBSuccess of the library's chdb_state.
const success = 0

// library is the part of libchdb's C interface in use. Pointers to Go memory
// are valid for the duration of a call only: the library copies what it keeps.
type library struct {
	setSignalHandlersEnabled func(enabled int32)
	version                  func() string

	connect   func(argc int32, argv **byte) *handle
	closeConn func(conn *handle)

	query       func(conn handle, query *byte, queryLen uintptr, format *byte, formatLen uintptr) handle
	streamQuery func(conn handle, query *byte, queryLen uintptr, format *byte, formatLen uintptr,
		names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) handle
	queryWithParams func(conn handle, query *byte, queryLen uintptr, format *byte, formatLen uintptr,
		names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) handle
	streamFetch  func(conn handle, stream handle) handle
	streamCancel func(conn handle, stream handle)
	classify     func(conn handle, query *byte, queryLen uintptr, database *byte, databaseLen uintptr, out *analysis) int32

	resultBuffer       func(result handle) *byte
	resultLength       func(result handle) uintptr
	resultError        func(result handle) string
	resultRowsRead     func(result handle) uint64
	resultBytesRead    func(result handle) uint64
	resultStorageRows  func(result handle) uint64
	resultStorageBytes func(result handle) uint64
	resultRowsWritten  func(result handle) uint64
	resultBytesWritten func(result handle) uint64
	destroyResult      func(result handle)

	insert func(conn handle, query *byte, queryLen uintptr, format *byte, formatLen uintptr,
		names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) handle
	insertAppend  func(stream handle, data *byte, length uintptr) int32
	insertDone    func(stream handle) handle
	insertCancel  func(stream handle)
	insertError   func(stream handle) string
	insertDestroy func(stream handle)
}

// load opens the shared library and binds its symbols. A library is never
// unloaded: it leaves threads behind that would run in unmapped code.
func load(path string) (*library, error) {
	opened, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	var lib library
	for name, fn := range map[string]any{
		"chdb_set_signal_handlers_enabled": &lib.setSignalHandlersEnabled,
		"chdb_version":                     &lib.version,
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.closeConn,
		"chdb_query_n":                     &lib.query,
		"chdb_query_with_params_n":         &lib.queryWithParams,
		"chdb_stream_query_with_params_n":  &lib.streamQuery,
		"chdb_stream_fetch_result":         &lib.streamFetch,
		"chdb_stream_cancel_query":         &lib.streamCancel,
		"chdb_classify_query_n":            &lib.classify,
		"chdb_result_buffer":               &lib.resultBuffer,
		"chdb_result_length":               &lib.resultLength,
		"chdb_result_error":                &lib.resultError,
		"chdb_result_rows_read":            &lib.resultRowsRead,
		"chdb_result_bytes_read":           &lib.resultBytesRead,
		"chdb_result_storage_rows_read":    &lib.resultStorageRows,
		"chdb_result_storage_bytes_read":   &lib.resultStorageBytes,
		"chdb_result_rows_written":         &lib.resultRowsWritten,
		"chdb_result_bytes_written":        &lib.resultBytesWritten,
		"chdb_destroy_query_result":        &lib.destroyResult,
		"chdb_stream_insert_with_params_n": &lib.insert,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_stream_insert_error":         &lib.insertError,
		"chdb_destroy_insert_stream":       &lib.insertDestroy,
	} {
		symbol, err := purego.Dlsym(opened, name)
		if err != nil {
			return nil, fmt.Errorf("bind %s of %s: %w", name, path, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	return &lib, nil
}

// bytesOf gives a pointer to the first byte of s, nil for an empty one.
func bytesOf(s string) *byte { return unsafe.StringData(s) }

// parameters holds query parameters in the shape that the C interface takes.
// The pinner keeps the strings in place while C looks at them.
type parameters struct {
	names, values       []*byte
	nameLens, valueLens []uintptr
	pinner              runtime.Pinner
}

func newParameters(params []Parameter) *parameters {
	p := &parameters{}
	for _, param := range params {
		p.names = append(p.names, p.pin(param.Name))
		p.nameLens = append(p.nameLens, uintptr(len(param.Name)))
		p.values = append(p.values, p.pin(param.Value))
		p.valueLens = append(p.valueLens, uintptr(len(param.Value)))
	}
	return p
}

func (p *parameters) pin(s string) *byte {
	if s == "" {
		return nil
	}
	data := unsafe.StringData(s)
	p.pinner.Pin(data)
	return data
}

func (p *parameters) release() { p.pinner.Unpin() }

// first gives a pointer to the first element, nil for an empty slice.
func first[T any](s []T) *T { return unsafe.SliceData(s) }
