package bridge

import (
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"sluice/standalone/clickhouse/chdb"
)

// setting is one setting of a request, in the order of the request.
type setting struct {
	name, value string
}

// request is what an HTTP request asks for, read once.
type request struct {
	query          string // the query parameter
	database       string
	defaultFormat  string
	queryID        string
	sessionID      string
	sessionTimeout int // seconds
	sessionCheck   bool
	readOnly       bool // GET may only read

	settings []setting
	params   []chdb.Parameter

	clientRevision uint64 // client_protocol_version, 0 if none is named
	compress       bool   // the response in ClickHouse's own frames
	frameMethod    string // network_compression_method
	decompress     bool   // the request body in ClickHouse's own frames
	waitEndOfQuery bool
	acceptEncoding string

	// external names the temporary tables that come as parts of a multipart body.
	external map[string]externalTable
}

// externalTable says how to read a part of a multipart body as a table.
type externalTable struct {
	format, structure, types string
}

// reservedParameters mean something to the interface itself and are no settings.
// Those among them that nothing here reads are accepted for the clients' sake.
var reservedParameters = []string{
	"", "query", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check", "close_session",
	"compress", "decompress", "user", "password", "quota_key", "stacktrace", "role", "buffer_size", "wait_end_of_query",
	"client_protocol_version",
}

// ignoredSettings are settings that this interface cannot honour and that are
// safe to leave out. async_insert: an insert is stored when it is acknowledged,
// which is the stronger promise.
var ignoredSettings = []string{
	"async_insert", "wait_for_async_insert", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
	"enable_http_compression", "http_write_exception_in_output_format", "http_zlib_compression_level",
	"cancel_http_readonly_queries_on_client_close", "http_response_buffer_size", "http_wait_end_of_query",
}

func parseRequest(r *http.Request) (*request, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, exception(codeBadArguments, "Cannot parse the parameters of the URL")
	}
	values := make(parameters, len(query))
	for name, given := range query {
		values[name] = given[len(given)-1]
	}
	if err := authenticate(r, values); err != nil {
		return nil, err
	}
	req := &request{
		query:          values["query"],
		database:       firstOf(r.Header.Get("X-ClickHouse-Database"), values["database"]),
		defaultFormat:  firstOf(r.Header.Get("X-ClickHouse-Format"), values["default_format"], "TabSeparated"),
		queryID:        firstOf(values["query_id"], r.Header.Get("X-ClickHouse-Query-Id"), newID()),
		sessionID:      values["session_id"],
		sessionTimeout: defaultSessionSeconds,
		sessionCheck:   values["session_check"] == "1",
		readOnly:       r.Method == http.MethodGet || r.Method == http.MethodHead,
		compress:       isTrue(values["compress"]),
		decompress:     isTrue(values["decompress"]),
		waitEndOfQuery: isTrue(firstOf(values["wait_end_of_query"], values["http_wait_end_of_query"])),
		frameMethod:    strings.ToUpper(values["network_compression_method"]),
		acceptEncoding: chooseEncoding(r.Header.Get("Accept-Encoding")),
		external:       map[string]externalTable{},
	}
	if enabled := values["enable_http_compression"]; enabled != "" && !isTrue(enabled) {
		req.acceptEncoding = ""
	}
	if text := values["client_protocol_version"]; text != "" {
		if req.clientRevision, err = strconv.ParseUint(text, 10, 32); err != nil {
			return nil, exception(codeBadArguments, "Cannot parse client_protocol_version")
		}
	}
	if text := values["session_timeout"]; text != "" {
		req.sessionTimeout, err = strconv.Atoi(text)
		if err != nil || req.sessionTimeout < 0 || req.sessionTimeout > maxSessionSeconds {
			return nil, exception(codeInvalidTimeout, "Invalid session timeout, the most is %d seconds", maxSessionSeconds)
		}
	}
	req.readParameters(values, strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data"))
	return req, nil
}

// readParameters sorts what is neither reserved nor ignored into query
// parameters, external tables and settings, by name, so that the same request
// always makes the same statement.
func (req *request) readParameters(values parameters, multipart bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		switch {
		case slices.Contains(reservedParameters, name), slices.Contains(ignoredSettings, name):
		case strings.HasPrefix(name, "param_"):
			req.params = append(req.params, chdb.Parameter{Name: strings.TrimPrefix(name, "param_"), Value: value})
		case multipart && req.readExternal(name, value):
		default:
			req.settings = append(req.settings, setting{name: name, value: value})
		}
	}
}

func (req *request) readExternal(name, value string) bool {
	for _, suffix := range []string{"_format", "_structure", "_types"} {
		table, found := strings.CutSuffix(name, suffix)
		if !found || table == "" {
			continue
		}
		described := req.external[table]
		switch suffix {
		case "_format":
			described.format = value
		case "_structure":
			described.structure = value
		case "_types":
			described.types = value
		}
		req.external[table] = described
		return true
	}
	return false
}

// parameters are those of the URL; of one that is given twice the last counts.
type parameters map[string]string

// authenticate lets in the user "default" with no password, as a ClickHouse
// fresh from the package does, and nobody else.
func authenticate(r *http.Request, values parameters) error {
	user, password := values["user"], values["password"]
	if name, secret, ok := r.BasicAuth(); ok {
		user, password = name, secret
	} else if r.Header.Get("Authorization") != "" {
		return exception(codeAuthenticationFails, "Invalid authentication: the Authorization scheme is not supported")
	}
	user = firstOf(r.Header.Get("X-ClickHouse-User"), user, "default")
	password = firstOf(r.Header.Get("X-ClickHouse-Key"), password)
	if user != "default" || password != "" {
		return exception(codeAuthenticationFails,
			"%s: Authentication failed: password is incorrect, or there is no user with such name", strconv.QuoteToASCII(user))
	}
	return nil
}

// has reports whether the request sets a setting.
func (req *request) has(name string) bool {
	for _, s := range req.settings {
		if s.name == name {
			return true
		}
	}
	return false
}

// decodeBody undoes the encodings of a request body, outermost first.
func (req *request) decodeBody(r *http.Request) (io.Reader, error) {
	body, err := decodeContent(r.Body, r.Header.Get("Content-Encoding"))
	if err != nil {
		return nil, err
	}
	if req.decompress {
		body = newFrameReader(body)
	}
	return body, nil
}

func decodeContent(body io.Reader, encoding string) (io.Reader, error) {
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	case "br":
		body = brotli.NewReader(body)
	case "zstd":
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		body = decoder
	case "lz4":
		body = lz4.NewReader(body)
	case "bz2":
		body = bzip2.NewReader(body)
	default:
		return nil, exception(codeNotImplemented, "Unknown compression method in Content-Encoding")
	}
	if err != nil {
		return nil, exception(codeCannotDecompress, "Cannot decompress the body: %v", err)
	}
	return body, nil
}

// chooseEncoding picks the response's encoding in ClickHouse's own order of
// preference among those that are spoken here, or "" for none.
func chooseEncoding(accepted string) string {
	offered := map[string]bool{}
	for part := range strings.SplitSeq(accepted, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		offered[strings.ToLower(strings.TrimSpace(name))] = strings.ReplaceAll(weight, " ", "") != "q=0"
	}
	for _, name := range []string{"br", "lz4", "gzip", "deflate", "zstd"} {
		if offered[name] {
			return name
		}
	}
	return ""
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

func isTrue(value string) bool { return value == "1" || strings.EqualFold(value, "true") }

// newID gives a random UUID for a query that came without an id.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand documents
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", text[:8], text[8:12], text[12:16], text[16:20], text[20:])
}
