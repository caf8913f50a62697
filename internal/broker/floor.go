package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ackFloor is the highest sequence up to which every durable consumer has
// acknowledged everything, at most last; 0 if a required one does not exist.
//
// On a cluster a consumer lives on another node than the stream's leader, on one
// that may be behind it or away. So what a consumer says is believed of what it
// has acknowledged alone; whether anything is left for it, the leader tells.
func (c *Conn) ackFloor(ctx context.Context, stream string, last uint64, required []string) (uint64, error) {
	consumers, err := c.consumers(ctx, stream)
	if err != nil {
		return 0, err
	}
	seen, floor := map[string]bool{}, last
	for _, info := range consumers {
		if info.Config.Durable == "" {
			continue // a reader that comes and goes holds nothing back
		}
		seen[info.Name] = true
		acked := info.AckFloor.Stream
		if acked < floor && info.NumPending == 0 && info.NumAckPending == 0 {
			// A consumer with a filter acknowledges only what it is given; with
			// nothing left to give it is done with all that is before.
			if acked, err = c.beforeNext(ctx, info, last); err != nil {
				return 0, err
			}
		}
		floor = min(floor, acked)
	}
	if slices.ContainsFunc(required, func(name string) bool { return !seen[name] }) {
		return 0, nil
	}
	return floor, nil
}

// consumers lists the stream's consumers. It fails where the list is not
// complete, which the library does not tell: a consumer whose node does not
// answer in time is left out of it.
func (c *Conn) consumers(ctx context.Context, stream string) ([]*jetstream.ConsumerInfo, error) {
	var all []*jetstream.ConsumerInfo
	for {
		var page struct {
			Error     *jetstream.APIError       `json:"error"`
			Total     int                       `json:"total"`
			Consumers []*jetstream.ConsumerInfo `json:"consumers"`
			Missing   []string                  `json:"missing"`
		}
		if err := c.ask(ctx, "CONSUMER.LIST", stream, map[string]int{"offset": len(all)}, &page); err != nil {
			return nil, err
		}
		if page.Error != nil {
			return nil, page.Error
		}
		all = append(all, page.Consumers...)
		for _, name := range page.Missing {
			if !slices.ContainsFunc(page.Consumers, func(info *jetstream.ConsumerInfo) bool { return info.Name == name }) {
				return nil, fmt.Errorf("no word from consumer %s", name)
			}
		}
		if len(page.Consumers) == 0 || len(all) >= page.Total {
			return all, nil
		}
	}
}

// beforeNext is the sequence before the first message that the consumer has not
// acknowledged and is to get, or last.
func (c *Conn) beforeNext(ctx context.Context, info *jetstream.ConsumerInfo, last uint64) (uint64, error) {
	filters := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		filters = []string{info.Config.FilterSubject}
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	before := last
	for _, filter := range filters {
		seq, err := c.firstOf(ctx, info.Stream, filter, info.AckFloor.Stream+1)
		if err != nil {
			return 0, err
		}
		if seq > 0 {
			before = min(before, seq-1)
		}
	}
	return before, nil
}

// firstOf asks the stream's leader for the first message at or after from with a
// subject of the filter, 0 for none. The library would ask any node.
func (c *Conn) firstOf(ctx context.Context, stream, filter string, from uint64) (uint64, error) {
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64 `json:"seq"`
		} `json:"message"`
	}
	request := map[string]any{"seq": from, "next_by_subj": filter}
	err := c.ask(ctx, "STREAM.MSG.GET", stream, request, &answer)
	switch {
	case err != nil:
		return 0, err
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return 0, nil
	case answer.Error != nil:
		return 0, answer.Error
	case answer.Message == nil:
		return 0, fmt.Errorf("the broker's answer about %s has no message", stream)
	}
	return answer.Message.Sequence, nil
}

// ask makes a request of JetStream's API about a stream.
func (c *Conn) ask(ctx context.Context, api, stream string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptWait)
	defer cancel()
	msg, err := c.NC.RequestWithContext(ctx, c.api(api+"."+stream, stream), body)
	if err != nil {
		what, _, _ := strings.Cut(api, ".")
		return fmt.Errorf("ask about a %s: %w", strings.ToLower(what), err)
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("read the broker's answer: %w", jetstream.ErrInvalidJSAck)
	}
	return nil
}
