package faults

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"time"
)

// logLine is a line of a process's log.
type logLine struct {
	at    time.Time
	level string // INFO, WARN, ERROR; END for the last words of a command, PANIC for those of Go
	// class is what is said, without its details; text is the whole line.
	class, text string
}

// natsLine is a line of nats-server's log.
var natsLine = regexp.MustCompile(`^\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+) \[(\w+)\] (.*)$`)

// details are what differs between lines of one class.
var details = regexp.MustCompile(`"[^"]*"|'[^']*'|\$?[0-9][0-9A-Za-z.:_-]*|cid:\d+`)

func readLog(path string) ([]logLine, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []logLine
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 4<<20)
	for scanner.Scan() {
		line, ok := parseLine(scanner.Text())
		if !ok {
			continue
		}
		lines = append(lines, line)
	}
	// A line without a time is a process's last: the next one says when it was started
	// again, which is at once.
	next := time.Now()
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].at.IsZero() {
			lines[i].at = next
		}
		next = lines[i].at
	}
	return lines, scanner.Err()
}

// parseLine tells what a line says. Lines that are of no log, such as what a command
// prints, are not ok.
func parseLine(text string) (logLine, bool) {
	var record struct {
		Time  time.Time `json:"time"`
		Level string    `json:"level"`
		Msg   string    `json:"msg"`
	}
	switch {
	case strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &record) == nil:
		return logLine{record.Time, record.Level, record.Msg, text}, true
	case strings.HasPrefix(text, "["):
		if m := natsLine.FindStringSubmatch(text); m != nil {
			at, _ := time.Parse("2006/01/02 15:04:05.999999", m[1]) // as logtime_utc has it
			level := map[string]string{"WRN": "WARN", "ERR": "ERROR", "FTL": "ERROR"}[m[2]]
			return logLine{at, level, details.ReplaceAllString(m[3], "#"), text}, true
		}
	case strings.HasPrefix(text, "panic:"), strings.HasPrefix(text, "fatal error:"), strings.HasPrefix(text, "unexpected fault"),
		strings.HasPrefix(text, "WARNING: DATA RACE"):
		return logLine{level: "PANIC", class: text, text: text}, true
	}
	if lastWords.MatchString(text) {
		return logLine{level: "END", class: "ended", text: text}, true
	}
	return logLine{}, false
}

// lastWords are the one line that a command ends with if it fails.
var lastWords = regexp.MustCompile(`^(producer|redactor|sink|notifier|clickhouse-embedded): `)

// holds tells whether the text holds a planted secret.
func holds(text []byte, marker string) bool {
	return marker != "" && strings.Contains(string(text), marker)
}
