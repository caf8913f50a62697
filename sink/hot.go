package sink

import (
	"math"
	"strconv"

	"sluice/schemas/jsontoken"
)

// The paths of a context that have a column of their own, in the order of the
// table. Each holds the text of a scalar, "" for what is missing or no scalar.
const (
	hotPath = iota
	hotMethod
	hotUserAgent
	hotRequestID
	hotAuthMethod
	hotMessage
	hotTriedUsername
	hotModelApp
	hotModelName
	hotModelPK
	hotApplicationName
	hotApplicationPK
	hotCountry
	hotCity
	hotASOrg
	hotNewVersion
	hotASN // the one that is a number in the table
	hotTexts
)

var hotColumns = [hotASN]string{
	"http_path", "http_method", "user_agent", "request_id", "auth_method", "message", "tried_username",
	"model_app", "model_name", "model_pk", "application_name", "application_pk",
	"geo_country", "geo_city", "as_org", "new_version",
}

// hotMember is a member of an object with a column, or an object with such members.
type hotMember struct {
	name    string
	column  int
	members []hotMember
}

var hotMembers = []hotMember{
	{name: "http_request", members: []hotMember{
		{name: "path", column: hotPath},
		{name: "method", column: hotMethod},
		{name: "user_agent", column: hotUserAgent},
		{name: "request_id", column: hotRequestID},
	}},
	{name: "auth_method", column: hotAuthMethod},
	{name: "message", column: hotMessage},
	{name: "username", column: hotTriedUsername},
	{name: "model", members: []hotMember{
		{name: "app", column: hotModelApp},
		{name: "model_name", column: hotModelName},
		{name: "pk", column: hotModelPK},
	}},
	{name: "authorized_application", members: []hotMember{
		{name: "name", column: hotApplicationName},
		{name: "pk", column: hotApplicationPK},
	}},
	{name: "geo", members: []hotMember{
		{name: "country", column: hotCountry},
		{name: "city", column: hotCity},
	}},
	{name: "asn", members: []hotMember{
		{name: "asn", column: hotASN},
		{name: "as_org", column: hotASOrg},
	}},
	{name: "new_version", column: hotNewVersion},
}

// textSpan is a text inside a row's context, or inside its unescaped texts.
type textSpan struct {
	start, end uint32
	unescaped  bool
}

// hotText is the text of a hot path. It points into the message.
func (r *row) hotText(column int) []byte {
	s := r.hot[column]
	if s.unescaped {
		return r.unescaped[s.start:s.end]
	}
	return r.context[s.start:s.end]
}

// asn is the number of the autonomous system, 0 for what is no such number.
func (r *row) asn() uint32 {
	n, err := strconv.ParseUint(string(r.hotText(hotASN)), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// findHot goes through the context once. Of two members with one name the last
// counts, as everywhere.
func (m *mapper) findHot(r *row) {
	tape := &m.decoder.Tape
	if context, found := tape.Member(0, "context"); found {
		m.findHotIn(r, context, tape.Tokens[context].Start, hotMembers)
	}
}

// findHotIn reads the object at index i; base is where the context starts.
func (m *mapper) findHotIn(r *row, i int, base uint32, members []hotMember) {
	tape := &m.decoder.Tape
	tokens := tape.Tokens
	if tokens[i].Kind != jsontoken.Object {
		return
	}
	for key := i + 1; key < int(tokens[i].Next); key = int(tokens[key+1].Next) {
		for j := range members {
			member := &members[j]
			if !tape.TextIs(key, member.name) {
				continue
			}
			if member.members == nil {
				r.hot[member.column] = m.spanOf(r, key+1, base)
			} else {
				for _, inner := range member.members {
					r.hot[inner.column] = textSpan{}
				}
				m.findHotIn(r, key+1, base, member.members)
			}
			break
		}
	}
}

func (m *mapper) spanOf(r *row, i int, base uint32) textSpan {
	token := m.decoder.Tape.Tokens[i]
	switch token.Kind {
	case jsontoken.String:
		if token.Escaped {
			start := len(r.unescaped)
			r.unescaped = jsontoken.AppendText(r.unescaped, m.decoder.Tape.Bytes(i))
			return textSpan{start: offset(start), end: offset(len(r.unescaped)), unescaped: true}
		}
		return textSpan{start: token.Start + 1 - base, end: token.End - 1 - base}
	case jsontoken.Number, jsontoken.True, jsontoken.False:
		return textSpan{start: token.Start - base, end: token.End - base}
	default:
		return textSpan{}
	}
}

// offset is a place in an event, which the tape counts in 32 bits too.
func offset(n int) uint32 {
	if n > math.MaxUint32 {
		panic("sink: an event of more than 4 GiB")
	}
	return uint32(n)
}
