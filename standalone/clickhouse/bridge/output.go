package bridge

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"sluice/standalone/clickhouse/chdb"
)

// holdBytes is how much of a response is held back before its status is sent,
// so that an error that comes early is a status and not a broken body. It is
// ClickHouse's own buffer size.
const holdBytes = 1 << 20

// output writes one response. Nothing is sent before holdBytes have come
// together or the query has ended: until then an error replaces the response.
type output struct {
	writer  http.ResponseWriter
	request *request
	version string
	started time.Time
	tag     string

	held  bytes.Buffer
	spool *spool // where everything goes first with wait_end_of_query
	sent  bool
	sink  io.Writer   // behind the encodings, nil until sent
	close []io.Closer // the encodings, outermost first
	stats chdb.Stats
}

func newOutput(w http.ResponseWriter, version string) *output {
	o := &output{writer: w, version: version, started: time.Now(), tag: newTag(), request: &request{}}
	return o
}

// describe sets the headers that a result's format decides.
func (o *output) describe(format string) {
	header := o.writer.Header()
	header.Set("Content-Type", contentType(format))
	header["X-ClickHouse-Format"] = []string{format}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if o.sent {
		return o.sink.Write(p)
	}
	if o.request.waitEndOfQuery {
		if o.spool == nil {
			o.spool = &spool{}
		}
		return o.spool.Write(p)
	}
	if o.held.Len()+len(p) < holdBytes {
		return o.held.Write(p)
	}
	if err := o.begin(http.StatusOK); err != nil {
		return 0, err
	}
	if _, err := o.sink.Write(o.held.Bytes()); err != nil {
		return 0, err
	}
	o.held = bytes.Buffer{}
	return o.sink.Write(p)
}

// finish sends what is held back and ends the response.
func (o *output) finish() error {
	if o.spool != nil {
		defer o.spool.Close()
		if err := o.begin(http.StatusOK); err != nil {
			return err
		}
		if err := o.spool.copyTo(o.sink); err != nil {
			return err
		}
		return o.end()
	}
	if !o.sent {
		if o.held.Len() == 0 { // no body, so no encoding either
			o.setSummary()
			o.writer.WriteHeader(http.StatusOK)
			return nil
		}
		if err := o.begin(http.StatusOK); err != nil {
			return err
		}
		if _, err := o.sink.Write(o.held.Bytes()); err != nil {
			return err
		}
	}
	return o.end()
}

// fail ends the response with an exception. Before anything was sent that is an
// error status with the text as body. After that all that is left is ClickHouse's
// exception block at the end of the body, and a connection that breaks off.
func (o *output) fail(raised *chdb.Error) {
	text := exceptionText(raised, o.version)
	if o.spool != nil {
		_ = o.spool.Close()
	}
	if o.sent {
		block := fmt.Sprintf("\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n", o.tag, text, len(text), o.tag)
		if _, err := io.WriteString(o.sink, block); err == nil && o.end() == nil {
			_ = http.NewResponseController(o.writer).Flush()
		}
		panic(http.ErrAbortHandler)
	}
	header := o.writer.Header()
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	delete(header, "X-ClickHouse-Format")
	header["X-ClickHouse-Exception-Code"] = []string{strconv.Itoa(raised.Code)}
	if err := o.begin(statusOf(raised.Code)); err != nil {
		return
	}
	if _, err := io.WriteString(o.sink, text); err == nil {
		_ = o.end() // the client is gone, and it was all for the client
	}
}

// begin sends status and headers and puts the encodings in place.
func (o *output) begin(status int) error {
	o.setSummary()
	o.sink, o.sent = o.writer, true
	if encoding := o.request.acceptEncoding; encoding != "" {
		encoder, err := newEncoder(o.writer, encoding)
		if err != nil {
			return err
		}
		o.writer.Header().Set("Content-Encoding", encoding)
		o.sink, o.close = encoder, append(o.close, encoder)
	}
	if o.request.compress {
		frames, err := newFrameWriter(o.sink, o.request.frameMethod)
		if err != nil {
			return err
		}
		o.sink, o.close = frames, append(o.close, frames)
	}
	o.writer.WriteHeader(status)
	return nil
}

func (o *output) end() error {
	for _, encoding := range slices.Backward(o.close) {
		if err := encoding.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) setSummary() {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	summary, err := json.Marshal(struct {
		ReadRows     string `json:"read_rows"`
		ReadBytes    string `json:"read_bytes"`
		WrittenRows  string `json:"written_rows"`
		WrittenBytes string `json:"written_bytes"`
		TotalRows    string `json:"total_rows_to_read"`
		ResultRows   string `json:"result_rows"`
		ResultBytes  string `json:"result_bytes"`
		ElapsedNS    string `json:"elapsed_ns"`
	}{
		number(o.stats.ReadRows), number(o.stats.ReadBytes), number(o.stats.WrittenRows), number(o.stats.WrittenBytes),
		"0", number(o.stats.ResultRows), number(o.stats.ResultBytes), strconv.FormatInt(time.Since(o.started).Nanoseconds(), 10),
	})
	if err == nil { // strings always marshal
		o.writer.Header()["X-ClickHouse-Summary"] = []string{string(summary)}
	}
}

// count adds up what the pieces of a result cost.
func (o *output) count(stats chdb.Stats) {
	o.stats.ReadRows += stats.ReadRows
	o.stats.ReadBytes += stats.ReadBytes
	o.stats.WrittenRows += stats.WrittenRows
	o.stats.WrittenBytes += stats.WrittenBytes
	o.stats.ResultRows += stats.ResultRows
	o.stats.ResultBytes += stats.ResultBytes
}

func newEncoder(w io.Writer, encoding string) (io.WriteCloser, error) {
	switch encoding {
	case "gzip":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "deflate":
		return zlib.NewWriterLevel(w, zlib.BestSpeed)
	case "br":
		return brotli.NewWriterLevel(w, brotli.BestSpeed), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	case "lz4":
		return lz4.NewWriter(w), nil
	default:
		return nil, fmt.Errorf("encode as %q: unknown encoding", encoding)
	}
}

// newTag gives the 16 random letters by which a client tells an exception block
// from a result that happens to look like one.
func newTag() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand documents
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	return string(b[:])
}
