package bridge

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// nativeBufferBytes is no less than the buffer of ch-go's own reader, 128 KiB: a
// smaller one it would wrap in its own, and where it stands would be unknown.
const nativeBufferBytes = 1 << 18

// blockInfo is what stands in front of a block at any revision but 0: field 1,
// that it is no overflow of a GROUP BY, field 2, that it has no bucket, the end.
var blockInfo = []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}

// nativeUpgrader turns the Native blocks that the engine writes, always at
// protocol revision 0, into blocks at the revision that the client asked for by
// client_protocol_version. A newer revision puts a block's info in front of it
// and a serialization flag behind each column's type. Everything else is passed
// on byte for byte; the columns are decoded only to find where they end.
type nativeUpgrader struct {
	target   io.Writer
	revision uint64
	context  *column.ServerContext

	source *recorder
	buffer *bufio.Reader   // reads from source
	reader *chproto.Reader // reads from buffer
}

func newNativeUpgrader(target io.Writer, source io.Reader, revision uint64) *nativeUpgrader {
	recorded := &recorder{source: source}
	buffer := bufio.NewReaderSize(recorded, nativeBufferBytes)
	return &nativeUpgrader{
		target: target, revision: revision, context: &column.ServerContext{Timezone: time.UTC},
		source: recorded, buffer: buffer, reader: chproto.NewReader(buffer),
	}
}

// upgrade passes on blocks until the source ends between two of them.
func (u *nativeUpgrader) upgrade() error {
	for {
		if _, err := u.buffer.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := u.block(); err != nil {
			return err
		}
	}
}

func (u *nativeUpgrader) block() error {
	columns, err := u.reader.UVarInt()
	if err != nil {
		return err
	}
	rows, err := u.reader.UVarInt()
	if err != nil {
		return err
	}
	if _, err := u.target.Write(blockInfo); err != nil {
		return err
	}
	for range columns {
		if err := u.column(int(rows)); err != nil { // #nosec G115 -- rows of a block of the engine
			return err
		}
	}
	return u.pass()
}

func (u *nativeUpgrader) column(rows int) error {
	name, err := u.reader.Str()
	if err != nil {
		return err
	}
	typeName, err := u.reader.Str()
	if err != nil {
		return err
	}
	if err := u.pass(); err != nil {
		return err
	}
	if u.revision >= proto.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION {
		if _, err := u.target.Write([]byte{0}); err != nil { // none
			return err
		}
	}
	values, err := column.Type(typeName).Column(name, u.context)
	if err != nil {
		return exception(codeNotImplemented, "The type %s cannot be given in Native at revision %d", typeName, u.revision)
	}
	if rows == 0 {
		return nil
	}
	if prefixed, ok := values.(column.CustomSerialization); ok {
		if err := prefixed.ReadStatePrefix(u.reader); err != nil {
			return fmt.Errorf("read column of type %s: %w", typeName, err)
		}
	}
	if err := values.Decode(u.reader, rows); err != nil {
		return fmt.Errorf("read column of type %s: %w", typeName, err)
	}
	return u.pass()
}

// pass writes what has been read since the last time.
func (u *nativeUpgrader) pass() error {
	read := len(u.source.taken) - u.buffer.Buffered()
	_, err := u.target.Write(u.source.taken[:read])
	u.source.taken = append(u.source.taken[:0], u.source.taken[read:]...)
	return err
}

// recorder keeps what is read from it.
type recorder struct {
	source io.Reader
	taken  []byte
}

// Read implements io.Reader.
func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.taken = append(r.taken, p[:n]...)
	return n, err
}
