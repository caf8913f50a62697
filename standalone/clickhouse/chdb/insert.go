package chdb

import (
	"runtime"
	"unsafe"
)

// Insert is an INSERT whose data is handed over piece by piece.
type Insert struct {
	conn   *Conn
	handle handle
	ended  bool
}

// Insert starts an INSERT. The statement has neither FORMAT nor data: the data
// follows through [Insert.Append] in the given input format, cut anywhere.
// The insert must be closed.
func (c *Conn) Insert(statement, format string, params []Parameter) (*Insert, error) {
	p := newParameters(params)
	defer p.release()
	stream := c.lib.insert(c.inner, bytesOf(statement), uintptr(len(statement)), bytesOf(format), uintptr(len(format)),
		first(p.names), first(p.nameLens), first(p.values), first(p.valueLens), uintptr(len(params)))
	runtime.KeepAlive(p)
	insert := &Insert{conn: c, handle: stream}
	if message := c.lib.insertError(stream); message != "" {
		insert.ended = true
		insert.Close()
		return nil, parseError(message)
	}
	return insert, nil
}

// Append hands over one piece of data; the engine copies it. It blocks while the
// engine is behind. The error of a refused piece is the one that Done gives.
func (i *Insert) Append(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if i.conn.lib.insertAppend(i.handle, unsafe.SliceData(data), uintptr(len(data))) == success {
		return nil
	}
	if _, err := i.Done(); err != nil {
		return err
	}
	return parseError("Code: 1002. DB::Exception: the engine took no more data. (UNKNOWN_EXCEPTION)")
}

// Done ends the data and waits until the engine has stored it.
func (i *Insert) Done() (Stats, error) {
	i.ended = true
	result, err := i.conn.lib.take(i.conn.lib.insertDone(i.handle))
	if err != nil {
		return Stats{}, err
	}
	defer result.Close()
	return result.Stats, nil
}

// Close frees the insert; one that was not done is cancelled, and what the
// engine has not stored by then is not stored.
func (i *Insert) Close() {
	if i.handle == 0 {
		return
	}
	if !i.ended {
		i.conn.lib.insertCancel(i.handle)
	}
	i.conn.lib.insertDestroy(i.handle)
	i.handle = 0
}
