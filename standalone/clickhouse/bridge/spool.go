package bridge

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemoryBytes is how much of a response with wait_end_of_query stays in
// memory; the rest goes to a temporary file.
const spoolMemoryBytes = 8 << 20

// spool holds a whole response until its query has ended.
type spool struct {
	memory bytes.Buffer
	file   *os.File
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.memory.Len()+len(p) <= spoolMemoryBytes {
		return s.memory.Write(p)
	}
	if s.file == nil {
		file, err := os.CreateTemp("", "clickhouse-embedded-*")
		if err != nil {
			return 0, fmt.Errorf("spool response: %w", err)
		}
		s.file = file
		// Unlinked at once: it is gone with the process, however that ends.
		if err := os.Remove(file.Name()); err != nil {
			return 0, fmt.Errorf("spool response: %w", err)
		}
	}
	return s.file.Write(p)
}

func (s *spool) copyTo(w io.Writer) error {
	if _, err := w.Write(s.memory.Bytes()); err != nil {
		return err
	}
	if s.file == nil {
		return nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read spooled response: %w", err)
	}
	_, err := io.Copy(w, s.file)
	return err
}

// Close frees the file.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
