package bridge

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"sluice/standalone/clickhouse/chdb"
)

const (
	// maxStatementBytes bounds the text of a statement without the data of an
	// INSERT. The engine's own limit, max_query_size, is lower by default.
	maxStatementBytes = 16 << 20
	// headBytes is how much of a body is read to find where the data of an INSERT
	// begins. ClickHouse's max_query_size is 256 KiB by default.
	headBytes = 1 << 20
	// maxDocumentBytes bounds a result in a format that is one document (JSON,
	// Parquet, Pretty …) and therefore held in memory. Results in the formats
	// that stream, such as Native, TabSeparated and JSONEachRow, have no limit.
	maxDocumentBytes = "134217728" // 128 MiB of columns, before formatting
)

// runBody reads the statement from the query parameter and the body, which
// ClickHouse treats as one text with a line break between them.
func (h *Handler) runBody(conn *chdb.Conn, req *request, out *output, r *http.Request) (string, error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		text, err := loadExternal(conn, req, r)
		if err != nil {
			return "external", err
		}
		return h.runText(conn, req, out, text)
	}
	body, err := req.decodeBody(r)
	if err != nil {
		return "refused", err
	}
	prefix := req.query
	if prefix != "" {
		prefix += "\n"
	}
	source := io.MultiReader(strings.NewReader(prefix), body)
	var head bytes.Buffer
	if _, err := io.CopyN(&head, source, headBytes+int64(len(prefix))); err != nil && !errors.Is(err, io.EOF) {
		return "refused", err
	}
	if insert, ok := splitInsert(head.String()); ok {
		if req.readOnly {
			return "refused", errReadOnly
		}
		head.Next(insert.dataStart)
		return "insert", runInsert(conn, req, out, insert, io.MultiReader(&head, source))
	}
	if _, err := io.Copy(&head, io.LimitReader(source, maxStatementBytes)); err != nil {
		return "refused", err
	}
	if head.Len() > maxStatementBytes {
		return "refused", exception(codeQueryIsTooLarge, "A statement of more than %d bytes", maxStatementBytes)
	}
	return h.runText(conn, req, out, strings.TrimSuffix(head.String(), "\n"))
}

// runText runs a statement that carries no data.
func (h *Handler) runText(conn *chdb.Conn, req *request, out *output, text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "refused", exception(codeSyntaxError, "Syntax error: failed at position 1 (end of query): Empty query")
	}
	if touchesLocalFile(text) {
		return "refused", exception(codeOutfileNotAllowed, "INTO OUTFILE and FROM INFILE are not allowed")
	}
	statements, class := conn.Classify(text)
	if statements > 1 {
		return "refused", exception(codeSyntaxError, "Syntax error (Multi-statements are not allowed)")
	}
	if req.readOnly && req.sessionID != "" && class != chdb.ReadOnly && !changesSession(text) {
		return "refused", errReadOnly
	}
	format := firstOf(outputFormat(text), req.defaultFormat)
	out.describe(format)
	switch {
	case class == chdb.ReadOnly && headerOf(format) != unstreamable:
		return "select", runStream(conn, req, out, text, format)
	case class == chdb.ReadOnly:
		return "select", runDocument(conn, req, out, text, format)
	case class == chdb.Unknown:
		// The engine's client has words of its own, such as exit, which do not
		// parse as statements. Behind a comment they are errors again.
		text += " /* */"
	}
	return "command", runWhole(conn, req, out, text, format)
}

// runDocument runs a query whose result cannot be streamed.
func runDocument(conn *chdb.Conn, req *request, out *output, text, format string) error {
	if !req.has("max_result_bytes") {
		if err := conn.Exec("SET max_result_bytes = " + maxDocumentBytes); err != nil {
			return err
		}
	}
	return runWhole(conn, req, out, text, format)
}

// runWhole runs a statement to its end and then passes its output on.
func runWhole(conn *chdb.Conn, req *request, out *output, text, format string) error {
	result, err := conn.Query(text, format, req.params)
	if err != nil {
		return err
	}
	defer result.Close()
	out.count(result.Stats)
	return writeResult(req, out, format, bytes.NewReader(result.Output))
}

// runStream runs a query and passes its result on piece by piece.
func runStream(conn *chdb.Conn, req *request, out *output, text, format string) error {
	stream, err := conn.Stream(text, format, req.params)
	if errors.Is(err, chdb.ErrNotStreamable) {
		return runDocument(conn, req, out, text, format)
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	source := &pieces{stream: stream, out: out, header: headerOf(format)}
	defer source.close()
	return writeResult(req, out, format, source)
}

// writeResult passes a result on, at the client's revision if it is Native.
func writeResult(req *request, out *output, format string, result io.Reader) error {
	if strings.EqualFold(format, "Native") && req.clientRevision > 0 {
		return newNativeUpgrader(out, result, req.clientRevision).upgrade()
	}
	_, err := io.Copy(out, result)
	return err
}

// pieces reads a stream as one sequence of bytes, with one header.
type pieces struct {
	stream *chdb.Stream
	out    *output
	header headerKind
	begun  bool
	piece  *chdb.Result // nil between two pieces
	rest   []byte       // of the piece
}

// Read implements io.Reader.
func (p *pieces) Read(buffer []byte) (int, error) {
	for len(p.rest) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(buffer, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, without a copy.
func (p *pieces) WriteTo(w io.Writer) (written int64, err error) {
	for err == nil {
		n, failed := w.Write(p.rest)
		written, p.rest = written+int64(n), nil
		if failed != nil {
			return written, failed
		}
		err = p.next()
	}
	if errors.Is(err, io.EOF) {
		return written, nil
	}
	return written, err
}

// next takes the next piece in hand. At the end of the stream it is io.EOF.
func (p *pieces) next() error {
	p.close()
	piece, err := p.stream.Next()
	if err != nil {
		return err
	}
	p.out.count(piece.Stats)
	p.piece, p.rest = piece, piece.Output
	if p.begun {
		p.rest = p.rest[headerLength(p.header, p.rest):]
	}
	p.begun = true
	return nil
}

// close frees the piece in hand.
func (p *pieces) close() {
	if p.piece != nil {
		p.piece.Close()
		p.piece = nil
	}
}
