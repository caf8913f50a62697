package bridge

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"sluice/standalone/clickhouse/chdb"
)

// pieceBytes is the data that an INSERT hands to the engine at once.
const pieceBytes = 1 << 20

// runInsert streams data into the engine.
func runInsert(conn *chdb.Conn, req *request, out *output, head insertHead, data io.Reader) error {
	insert, err := conn.Insert(head.statement, head.format, req.params)
	if err != nil {
		return err
	}
	defer insert.Close()
	if err := appendAll(insert, data); err != nil {
		return err
	}
	stats, err := insert.Done()
	if err != nil {
		return err
	}
	out.count(stats)
	return nil
}

func appendAll(insert *chdb.Insert, data io.Reader) error {
	piece := make([]byte, pieceBytes)
	for {
		n, err := fill(data, piece)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return fmt.Errorf("read data of insert: %w", err)
		}
		if err := insert.Append(piece[:n]); err != nil {
			return err
		}
		if ended {
			return nil
		}
	}
}

// fill reads until the buffer is full or the source ends. It is not io.ReadFull,
// whose ErrUnexpectedEOF is also what a body that broke off gives: taken for the
// end, it would store half of an insert.
func fill(source io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var read int
		read, err = source.Read(buffer[n:])
		n += read
	}
	return n, err
}

// loadExternal reads a multipart body: the parts that the parameters describe
// become temporary tables, the rest adds up to the statement.
func loadExternal(conn *chdb.Conn, req *request, r *http.Request) (string, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return "", exception(codeBadArguments, "Cannot read the multipart body: %v", err)
	}
	text := req.query
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return "", exception(codeBadArguments, "Cannot read the multipart body: %v", err)
		}
		if described, ok := req.external[part.FormName()]; ok {
			if err := loadTable(conn, part, described); err != nil {
				return "", err
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, maxStatementBytes+1))
		if err != nil {
			return "", err
		}
		if len(text)+len(value) > maxStatementBytes {
			return "", exception(codeQueryIsTooLarge, "A statement of more than %d bytes", maxStatementBytes)
		}
		if part.FormName() == "query" {
			text += string(value)
		}
	}
}

func loadTable(conn *chdb.Conn, part *multipart.Part, described externalTable) error {
	structure := described.structure
	if structure == "" {
		var columns []string
		for i, columnType := range strings.Split(described.types, ",") {
			columns = append(columns, "_"+strconv.Itoa(i+1)+" "+columnType)
		}
		structure = strings.Join(columns, ", ")
	}
	name := quoteName(part.FormName())
	if err := conn.Exec("CREATE TEMPORARY TABLE " + name + " (" + structure + ")"); err != nil {
		return err
	}
	insert, err := conn.Insert("INSERT INTO "+name, firstOf(described.format, "TabSeparated"), nil)
	if err != nil {
		return err
	}
	defer insert.Close()
	if err := appendAll(insert, part); err != nil {
		return err
	}
	_, err = insert.Done()
	return err
}
