package authentik

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Client speaks to one authentik's API. Its token goes to the origin of its URL
// and nowhere else: redirects are not followed. No error holds the token, or
// anything of an answer.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

const (
	// requestWait is how long one page may take: deep pages of a large table do
	// take long.
	requestWait = 2 * time.Minute
	// maxAnswerBytes is 100 events of 1 MiB, which no installation has.
	maxAnswerBytes = 128 << 20
)

// NewClient returns a Client for the authentik at that URL. caFile names
// certificates to trust instead of the system's; "" is none.
func NewClient(rawURL, token, caFile string) (*Client, error) {
	base, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("not a valid URL") // the parser's own error quotes it
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		return nil, errors.New("want a URL such as https://auth.example.com")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("want a URL without user, query and fragment")
	case token == "":
		return nil, errors.New("the token is empty")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the token holds spaces, line ends or other characters that a token cannot have")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is, as documented
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
		}
	}
	return &Client{base: base, token: token, http: &http.Client{
		Transport: transport, Timeout: requestWait,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Origin names the authentik, without credentials.
func (c *Client) Origin() string {
	return c.base.Scheme + "://" + c.base.Host + strings.TrimSuffix(c.base.Path, "/")
}

// retryError is a fault that may pass.
type retryError struct {
	what  string
	after time.Duration // what the server asked for; 0 if it did not
}

func (e *retryError) Error() string { return e.what }

// page fetches one page of events, oldest first.
func (c *Client) page(ctx context.Context, at window) (page, error) {
	target := c.base.JoinPath("api/v3/events/events/")
	target.RawQuery = url.Values{
		"ordering": {"created"}, "page": {strconv.Itoa(at.page)}, "page_size": {strconv.Itoa(at.size)},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sluice-producer")
	resp, err := c.http.Do(req)
	if err != nil {
		return page{}, &retryError{what: fmt.Sprintf("no answer from authentik at %s: %v", c.Origin(), cause(err))}
	}
	defer resp.Body.Close()
	if err := c.refusal(resp, at); err != nil || resp.StatusCode == http.StatusNotFound {
		return page{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return page{}, &retryError{what: fmt.Sprintf("the answer of authentik at %s broke off", c.Origin())}
	case len(body) > maxAnswerBytes:
		return page{}, fmt.Errorf("a page of authentik at %s has more than %d bytes", c.Origin(), maxAnswerBytes)
	}
	got, err := parsePage(body)
	if err != nil {
		return page{}, fmt.Errorf("authentik at %s: %w", c.Origin(), err)
	}
	return got, nil
}

// cause takes the URL off an error of the client.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// refusal says what an answer that is no page means. A page beyond the last is not
// found, which is no error: it is empty.
func (c *Client) refusal(resp *http.Response, at window) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound && at.page > 1:
		return nil
	case code == http.StatusNotFound:
		return fmt.Errorf("there is no event API at %s (404): is the URL that of authentik, with its path if it has one?", c.Origin())
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("authentik at %s refuses the token (%d): it needs the intent API and the permission to view events", c.Origin(), code)
	case code >= 300 && code < 400:
		return fmt.Errorf("authentik at %s redirects to %s (%d), and the token goes to no other place: set the URL to where the API is",
			c.Origin(), location(resp), code)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return &retryError{fmt.Sprintf("authentik at %s answers %d", c.Origin(), code), retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	default:
		return fmt.Errorf("authentik at %s answers %d", c.Origin(), code)
	}
}

// location is the host that a redirect names.
func location(resp *http.Response) string {
	to, err := resp.Location()
	if err != nil {
		return "nowhere"
	}
	return to.Scheme + "://" + to.Host
}

// maxRetryAfter is how long an API may ask to be left alone before it is asked again
// all the same.
const maxRetryAfter = 10 * time.Minute

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, 86400))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	return 0
}
