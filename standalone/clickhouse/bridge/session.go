package bridge

import (
	"sync"
	"time"

	"sluice/standalone/clickhouse/chdb"
)

// ClickHouse's defaults for session_timeout and its upper limit.
const (
	defaultSessionSeconds = 60
	maxSessionSeconds     = 3600
)

// sessions keeps the connections of named sessions between requests, with their
// settings and temporary tables.
type sessions struct {
	connect func() (*chdb.Conn, error)

	mu   sync.Mutex
	byID map[string]*session
}

type session struct {
	conn   *chdb.Conn
	busy   bool
	expiry *time.Timer // runs while the session is idle
}

func newSessions(connect func() (*chdb.Conn, error)) *sessions {
	return &sessions{connect: connect, byID: map[string]*session{}}
}

// acquire gives the connection for a request and what to call when it is done:
// the session's own if the request names one, otherwise a fresh one. A fresh
// connection costs 0.1 ms and cannot hold anything of an earlier request.
func (s *sessions) acquire(req *request) (*chdb.Conn, func(), error) {
	if req.sessionID == "" {
		conn, err := s.connect()
		if err != nil {
			return nil, nil, err
		}
		return conn, conn.Close, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.byID[req.sessionID]
	switch {
	case ok && known.busy:
		return nil, nil, exception(codeSessionIsLocked, "Session %s is locked by a concurrent client", quoteString(req.sessionID))
	case ok:
		known.expiry.Stop()
	case req.sessionCheck:
		return nil, nil, exception(codeSessionNotFound, "Session %s not found", quoteString(req.sessionID))
	default:
		conn, err := s.connect()
		if err != nil {
			return nil, nil, err
		}
		known = &session{conn: conn}
		s.byID[req.sessionID] = known
	}
	known.busy = true
	return known.conn, func() { s.release(req.sessionID, known, time.Duration(req.sessionTimeout)*time.Second) }, nil
}

func (s *sessions) release(id string, released *session, timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	released.busy = false
	released.expiry = time.AfterFunc(timeout, func() { s.expire(id, released) })
}

func (s *sessions) expire(id string, expired *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[id] != expired || expired.busy {
		return
	}
	delete(s.byID, id)
	expired.conn.Close()
}

// preserve keeps what the parameters of a request in a named session change, and
// gives what sets it back: they are for one statement, unlike SET and USE.
func preserve(conn *chdb.Conn, req *request) (restore func(), err error) {
	if req.sessionID == "" {
		return func() {}, nil
	}
	var statements []string
	if req.database != "" {
		name, err := conn.Value("SELECT currentDatabase()")
		if err != nil {
			return nil, err
		}
		statements = append(statements, "USE "+quoteName(name))
	}
	changed := []string{"max_result_bytes"} // runDocument's own
	for _, s := range req.settings {
		changed = append(changed, s.name)
	}
	for _, name := range changed {
		value, err := conn.Value("SELECT value FROM system.settings WHERE name = " + quoteString(name))
		if err != nil {
			return nil, err
		}
		statements = append(statements, "SET "+quoteName(name)+" = "+quoteString(value))
	}
	return func() {
		for _, statement := range statements {
			_ = conn.Exec(statement) // an unknown setting was never set
		}
	}, nil
}

// closeAll ends every session. Requests must have ended before.
func (s *sessions) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, open := range s.byID {
		open.expiry.Stop()
		open.conn.Close()
		delete(s.byID, id)
	}
}
