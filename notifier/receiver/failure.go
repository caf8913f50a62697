package receiver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Verdict is what a failed attempt means for the alert.
type Verdict int

const (
	// Retry means that the receiver may take it later.
	Retry Verdict = iota
	// Refused means that the receiver will never take this alert as it is.
	Refused
	// Gone means that the receiver does not exist any more; nothing is to be sent to it until
	// a person has looked.
	Gone
)

// SendError is an attempt that failed. Its text holds nothing of the alert, no
// secret, no address of a webhook and no word of the other side.
type SendError struct {
	Verdict Verdict
	// What went wrong, in a few words.
	What string
	// After is how long the receiver asks to be left alone; 0 if it does not say.
	After time.Duration
}

// Error implements error.
func (f *SendError) Error() string { return f.What }

func refused(what string) *SendError   { return &SendError{Verdict: Refused, What: what} }
func retryable(what string) *SendError { return &SendError{Verdict: Retry, What: what} }

// maxRetryAfter is the longest that a receiver is left alone because it asks for
// it: an alert is not tried for longer than a day.
const maxRetryAfter = 24 * time.Hour

// answerFailure judges the status of an HTTP answer; nil is success.
func answerFailure(status int, header http.Header, now time.Time) error {
	what := "answered " + strconv.Itoa(status)
	if text := http.StatusText(status); text != "" {
		what += " " + text
	}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusGone:
		return &SendError{Verdict: Gone, What: what}
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return &SendError{Verdict: Retry, What: what, After: retryAfter(header.Get("Retry-After"), now)}
	case status >= 300 && status < 400:
		return refused(what + ", and redirects are not followed: configure the address it leads to")
	}
	return refused(what)
}

// retryAfter reads the header: seconds, with a fraction as Discord sends them, or
// a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var after time.Duration
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(seconds) {
		after = maxRetryAfter
		if seconds < maxRetryAfter.Seconds() {
			after = time.Duration(seconds * float64(time.Second))
		}
	} else if at, err := http.ParseTime(value); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), maxRetryAfter)
}

// connectFailure says why a peer was not reached, in words of our own: errors of
// the libraries quote addresses and what the peer has sent.
func connectFailure(err error) *SendError {
	var (
		prohibited *ProhibitedError
		dns        *net.DNSError
		timeout    net.Error
		errno      syscall.Errno
		unknown    x509.UnknownAuthorityError
		host       x509.HostnameError
		invalid    x509.CertificateInvalidError
		record     tls.RecordHeaderError
		alert      tls.AlertError
		failure    *SendError
	)
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.As(err, &prohibited):
		return refused(prohibited.Error())
	case errors.As(err, &dns) && dns.IsNotFound:
		return retryable("its host name is not known")
	case errors.As(err, &dns):
		return retryable("its host name cannot be looked up now")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return retryable("no answer in time")
	case errors.Is(err, context.Canceled):
		return retryable("interrupted")
	case errors.As(err, &unknown):
		return retryable("its certificate is signed by an authority that is not known (tls.ca_file)")
	case errors.As(err, &host):
		return retryable("its certificate is for another host (tls.server_name)")
	case errors.As(err, &invalid):
		return retryable("its certificate is not valid")
	case errors.As(err, &record):
		return retryable("it does not speak TLS")
	case errors.As(err, &alert):
		return retryable("it ended the TLS handshake: " + alert.Error())
	case errors.As(err, &errno):
		return retryable(errno.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return retryable("it closed the connection")
	}
	return retryable("its answer cannot be read")
}
