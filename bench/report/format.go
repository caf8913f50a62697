package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// count writes a number with commas: 1,234,567.
func count(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var out strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(d)
	}
	return sign + out.String()
}

// megabytes are of a million bytes.
func megabytes(bytes float64) string {
	const mb = 1e6
	if bytes < 10*mb {
		return fmt.Sprintf("%.1f MB", bytes/mb)
	}
	return count(bytes/mb) + " MB"
}

func bytesOf(v float64) string { return count(v) + " B" }

// duration has three digits at most.
func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + duration(-d)
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	default:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
}

// variant is how a row's case is called.
func (r *row) caseName() string {
	if r.variant == "" {
		return "1 KB"
	}
	return r.variant
}
