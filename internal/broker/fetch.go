package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// nextPrefix is where a consumer's messages are asked for.
const nextPrefix = "$JS.API.CONSUMER.MSG.NEXT."

// request asks for messages; its names are the broker's.
type request struct {
	Expires   time.Duration `json:"expires"`
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes,omitempty"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// fetch makes one request and delivers what comes of it, each message as it
// comes.
func (f *Feed) fetch(ctx context.Context) error {
	r := request{Expires: fetchWait, Batch: f.buffer.Msgs, Heartbeat: fetchBeat}
	if f.buffer.Bytes > 0 {
		// A request for less than a message's size never gets that message.
		r.MaxBytes = max(f.buffer.Bytes, 2*schemas.MaxPayloadBytes)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := f.uninterrupted(); err != nil {
		return err
	}
	f.requests++
	connection := f.js.Conn().Stats().Reconnects
	answers := f.inbox + "." + strconv.FormatUint(f.requests, 10)
	if err := f.js.Conn().PublishRequest(nextPrefix+f.stream+"."+f.consumer, answers, body); err != nil {
		return err
	}
	// Longer each time, since what was given up is still asked for: a consumer that is
	// held up answers all of it when it goes on, and there must be room for that.
	patience := (2*fetchBeat + brokerSilent) << f.silent
	silence := time.NewTimer(patience)
	defer silence.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	over := false // the broker takes the request for done; what it has sent is on its way
	for left := r.Batch; left > 0; {
		msg, err := f.arrival(ctx, silence.C, look.C)
		if err == errStillThere && f.js.Conn().Stats().Reconnects == connection { //nolint:errorlint // our own, as it is
			continue
		}
		if msg == nil && over {
			return nil // it was lost on the way, and comes again
		}
		if msg == nil {
			switch {
			case errors.Is(err, errSilent):
				f.silent = min(f.silent+1, mostSilent)
			case errors.Is(err, errStillThere):
				f.silent = 0 // a new connection, on which nothing is asked for yet
			}
			return err
		}
		f.silent = 0
		silence.Reset(patience)
		if !strings.HasPrefix(msg.Reply, ackPrefix) {
			ended, err := status(msg)
			if !ended || msg.Subject != answers {
				continue // or about a request that was given up
			}
			if left -= unsent(msg); err != nil || left <= 0 {
				return err
			}
			over, patience = true, brokerSilent
			silence.Reset(patience)
			continue
		}
		d, err := delivery(msg)
		if err != nil {
			return err
		}
		left--
		if err := f.deliverInTurn(ctx, d); err != nil {
			return err
		}
		silence.Reset(patience) // the reader may have kept this waiting for long
	}
	return nil
}

var (
	errSilent = errors.New("the broker does not answer")
	// errStillThere asks whether the connection is the one that the request went
	// over; if not, the broker has forgotten the request.
	errStillThere = errors.New("the connection was restored")
)

// final tells whether no further request can succeed.
func final(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrBadRequest) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) ||
		errors.Is(err, ErrInterrupted)
}

// unsent is how many messages of a request that ends will not come. The others may
// come after the word that it ends: where a consumer is kept on several nodes, each
// message waits until they know of it, and the word does not.
func unsent(msg *nats.Msg) int {
	n, err := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return math.MaxInt // the broker does not say
	}
	return n
}

// arrival waits for the next message or word of the broker's. What has arrived
// goes before silence: the reader may have kept this waiting for long.
func (f *Feed) arrival(ctx context.Context, silence, look <-chan time.Time) (*nats.Msg, error) {
	select {
	case msg := <-f.arrivals:
		return msg, nil
	default:
	}
	select {
	case msg := <-f.arrivals:
		return msg, nil
	case <-silence:
		return nil, errSilent
	case <-look:
		return nil, errStillThere
	case <-ctx.Done():
		return nil, nil //nolint:nilnil // run takes what is on its way
	}
}

// status reads a word of the broker's own: whether it ends the request, and why
// if that is not as expected.
func status(msg *nats.Msg) (ended bool, err error) {
	code, text := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch {
	case code == "100": // still there
		return false, nil
	case code == "404", code == "408": // none, or time is up
		return true, nil
	case code == "400":
		return true, jetstream.ErrBadRequest
	case code == "503":
		return true, nats.ErrNoResponders
	case strings.EqualFold(text, "Consumer Deleted"):
		return true, jetstream.ErrConsumerDeleted
	case strings.EqualFold(text, "Message Size Exceeds MaxBytes"), strings.EqualFold(text, "Batch Completed"):
		return true, nil
	}
	return true, fmt.Errorf("the broker ends the request with status %q: %q", code, text)
}
