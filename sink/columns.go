package sink

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

// eventsTable is the table with its database.
const eventsTable = "sluice.events"

// column is one column of an insert and how it is filled from rows.
type column struct {
	name, kind string
	fill       func(c *columns, to driver.BatchColumn) error
}

// columns are rows turned on their side. It keeps its memory between batches.
type columns struct {
	pk                   []uuid.UUID
	tenant, action, app  []string
	created, expires     []time.Time
	expiry               []int8
	leaves               []time.Time
	rows                 []entry  // those that are being filled in
	texts                [][]byte // one hot column of theirs
	asn                  []uint32
	userPK, username     []string
	userEmail, brandName []string
	clientIP             []netip.Addr
	context, user        [][]byte
	brand, extra         [][]byte
	redacted             [][]string
	fingerprints         [][]string
	traceParent          []string
	streamSeq            []uint64
}

// layout is the columns of an insert; the types are those of the table, or what
// ClickHouse makes them of.
var layout = append(hotLayout(), []column{
	{"pk", "UUID", func(c *columns, to driver.BatchColumn) error { return to.Append(c.pk) }},
	{"tenant", "LowCardinality(String)", func(c *columns, to driver.BatchColumn) error { return to.Append(c.tenant) }},
	{"action", "LowCardinality(String)", func(c *columns, to driver.BatchColumn) error { return to.Append(c.action) }},
	{"app", "LowCardinality(String)", func(c *columns, to driver.BatchColumn) error { return to.Append(c.app) }},
	{"created", "DateTime64(6, 'UTC')", func(c *columns, to driver.BatchColumn) error { return to.Append(c.created) }},
	{"expires", "DateTime('UTC')", func(c *columns, to driver.BatchColumn) error { return to.Append(c.expires) }},
	{"expiry", "Int8", func(c *columns, to driver.BatchColumn) error { return to.Append(c.expiry) }},
	{"leaves", "DateTime('UTC')", func(c *columns, to driver.BatchColumn) error { return to.Append(c.leaves) }},
	{"cohort", "DateTime('UTC')", func(c *columns, to driver.BatchColumn) error { return to.Append(c.leaves) }},
	{"user_pk", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.userPK) }},
	{"username", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.username) }},
	{"user_email", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.userEmail) }},
	{"client_ip", "IPv6", func(c *columns, to driver.BatchColumn) error { return to.Append(c.clientIP) }},
	{"brand_name", "LowCardinality(String)", func(c *columns, to driver.BatchColumn) error { return to.Append(c.brandName) }},
	{"context", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.context) }},
	{"user", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.user) }},
	{"brand", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.brand) }},
	{"extra", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.extra) }},
	{"redacted", "Array(String)", func(c *columns, to driver.BatchColumn) error { return fillTexts(c.redacted, to) }},
	{"fingerprints", "Array(String)", func(c *columns, to driver.BatchColumn) error { return fillTexts(c.fingerprints, to) }},
	{"traceparent", "String", func(c *columns, to driver.BatchColumn) error { return to.Append(c.traceParent) }},
	{"stream_seq", "UInt64", func(c *columns, to driver.BatchColumn) error { return to.Append(c.streamSeq) }},
	{"asn", "UInt32", func(c *columns, to driver.BatchColumn) error { return to.Append(c.asn) }},
}...)

func hotLayout() []column {
	out := make([]column, len(hotColumns))
	for i, name := range hotColumns {
		out[i] = column{name, "String", func(c *columns, to driver.BatchColumn) error { return c.fillHot(i, to) }}
	}
	return out
}

// fillHot takes the hot columns from the rows one after the other: all of them at once
// would be some hundred thousand pointers for the garbage collector to look at.
func (c *columns) fillHot(i int, to driver.BatchColumn) error {
	c.texts = c.texts[:0]
	for r := range c.rows {
		c.texts = append(c.texts, c.rows[r].hotText(i))
	}
	return to.Append(c.texts)
}

// fillTexts goes row by row, since the driver would go through reflection for
// a whole column of arrays.
func fillTexts(column [][]string, to driver.BatchColumn) error {
	for _, texts := range column {
		if err := to.AppendRow(texts); err != nil {
			return err
		}
	}
	return nil
}

var insertStatement = func() string {
	names := make([]string, len(layout))
	for i, c := range layout {
		names[i] = c.name
	}
	return "INSERT INTO " + eventsTable + " (" + strings.Join(names, ", ") + ")"
}()

func insertColumns() []clickhouse.ColumnNameAndType {
	out := make([]clickhouse.ColumnNameAndType, len(layout))
	for i, c := range layout {
		out[i] = clickhouse.ColumnNameAndType{Name: c.name, Type: c.kind}
	}
	return out
}

// fill appends the rows to the batch.
func (c *columns) fill(batch driver.Batch, entries []entry) error {
	c.reset()
	c.rows = entries
	for i := range entries {
		c.add(&entries[i].row)
	}
	for i, column := range layout {
		if err := column.fill(c, batch.Column(i)); err != nil {
			return fmt.Errorf("encode column %s: %w", column.name, err)
		}
	}
	c.reset() // the messages may go
	return nil
}

func (c *columns) add(r *row) {
	c.pk = append(c.pk, r.pk)
	c.tenant, c.action, c.app = append(c.tenant, r.tenant), append(c.action, r.action), append(c.app, r.app)
	c.created, c.expires = append(c.created, r.created), append(c.expires, r.expires)
	c.expiry, c.leaves = append(c.expiry, int8(r.expiry)), append(c.leaves, r.leaves)
	c.asn = append(c.asn, r.asn())
	c.userPK, c.username = append(c.userPK, r.userPK), append(c.username, r.username)
	c.userEmail, c.brandName = append(c.userEmail, r.userEmail), append(c.brandName, r.brandName)
	c.clientIP = append(c.clientIP, r.clientIP)
	c.context, c.user = append(c.context, r.context), append(c.user, r.user)
	c.brand, c.extra = append(c.brand, r.brand), append(c.extra, r.extra)
	c.redacted, c.fingerprints = append(c.redacted, r.redacted), append(c.fingerprints, r.fingerprints)
	c.traceParent = append(c.traceParent, r.traceParent)
	c.streamSeq = append(c.streamSeq, r.streamSeq)
}

func (c *columns) reset() {
	clear(c.texts)
	c.rows, c.texts = nil, c.texts[:0]
	c.expiry, c.leaves, c.asn = c.expiry[:0], c.leaves[:0], c.asn[:0]
	clear(c.context)
	clear(c.user)
	clear(c.brand)
	clear(c.extra)
	clear(c.redacted)
	clear(c.fingerprints)
	for _, s := range []*[]string{
		&c.tenant, &c.action, &c.app, &c.userPK, &c.username, &c.userEmail, &c.brandName, &c.traceParent,
	} {
		clear(*s)
		*s = (*s)[:0]
	}
	c.pk, c.created, c.expires, c.clientIP = c.pk[:0], c.created[:0], c.expires[:0], c.clientIP[:0]
	c.context, c.user, c.brand, c.extra = c.context[:0], c.user[:0], c.brand[:0], c.extra[:0]
	c.redacted, c.fingerprints, c.streamSeq = c.redacted[:0], c.fingerprints[:0], c.streamSeq[:0]
}
