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
	level string // INFO, WARN, ERROR; or PANIC for what is no log line
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
		if line, ok := parseLine(scanner.Text()); ok {
			lines = append(lines, line)
		}
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
			at, _ := time.ParseInLocation("2006/01/02 15:04:05.999999", m[1], time.Local)
			level := map[string]string{"WRN": "WARN", "ERR": "ERROR", "FTL": "ERROR"}[m[2]]
			return logLine{at, level, details.ReplaceAllString(m[3], "#"), text}, true
		}
	case strings.HasPrefix(text, "panic:"), strings.HasPrefix(text, "fatal error:"), strings.HasPrefix(text, "unexpected fault"),
		strings.HasPrefix(text, "WARNING: DATA RACE"):
		return logLine{level: "PANIC", class: text, text: text}, true
	}
	return logLine{}, false
}

// holds tells whether the text holds a planted secret.
func holds(text []byte, marker string) bool {
	return marker != "" && strings.Contains(string(text), marker)
}
