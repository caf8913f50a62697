package clickhouse

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// everyType is a row of a table with the types that Sluice's tables use and
// those that an analyst may add.
type everyType struct {
	ID       uuid.UUID         `ch:"id"`
	Tenant   string            `ch:"tenant"`
	Text     string            `ch:"text"`
	Created  time.Time         `ch:"created"`
	Expires  time.Time         `ch:"expires"`
	IP       net.IP            `ch:"ip"`
	Paths    []string          `ch:"paths"`
	Seq      uint64            `ch:"seq"`
	Maybe    *string           `ch:"maybe"`
	MaybeLow *string           `ch:"maybe_low"`
	Labels   map[string]string `ch:"labels"`
	Nested   [][]uint16        `ch:"nested"`
	Pair     []any             `ch:"pair"`
	Kind     string            `ch:"kind"`
	Fixed    string            `ch:"fixed"`
	Ratio    float64           `ch:"ratio"`
	Flag     bool              `ch:"flag"`
	Day      time.Time         `ch:"day"`
}

const everyTypeColumns = `id UUID, tenant LowCardinality(String), text String, created DateTime64(6, 'UTC'), expires DateTime('UTC'), ip IPv6,
	paths Array(String), seq UInt64, maybe Nullable(String), maybe_low LowCardinality(Nullable(String)), labels Map(String, String),
	nested Array(Array(UInt16)), pair Tuple(UInt8, String), kind Enum8('a' = 1, 'b' = 2), fixed FixedString(3), ratio Float64, flag Bool, day Date`

func everyTypeRow(i int) everyType {
	row := everyType{
		ID: uuid.NewSHA1(uuid.Nil, []byte{byte(i), byte(i >> 8)}), Tenant: fmt.Sprintf("tenant%d", i%3), Text: "\x00\xff\n'\\" + strings.Repeat("é", i%50),
		Created: time.UnixMicro(1_700_000_000_123_456 + int64(i)).UTC(), Expires: time.Unix(1_900_000_000+int64(i), 0).UTC(),
		IP: net.ParseIP(fmt.Sprintf("2001:db8::%x", i)), Paths: make([]string, i%3), Seq: 1<<63 + uint64(i), Labels: map[string]string{"k": fmt.Sprint(i)},
		Nested: [][]uint16{{1}, {}, {uint16(i)}}, Pair: []any{uint8(i), "p"}, Kind: "b", Fixed: "abc", Ratio: float64(i) / 3, Flag: i%2 == 0,
		Day: time.Date(2026, 1, 1+i%28, 0, 0, 0, 0, time.UTC),
	}
	for j := range row.Paths {
		row.Paths[j] = fmt.Sprintf("/context/%d", j)
	}
	if i%2 == 0 {
		row.Maybe, row.MaybeLow = new("here"), new("low")
	}
	return row
}

func TestClientTypes(t *testing.T) {
	t.Parallel()
	for _, method := range []driver.CompressionMethod{
		driver.CompressionNone, driver.CompressionLZ4, driver.CompressionZSTD, driver.CompressionGZIP, driver.CompressionDeflate, driver.CompressionBrotli,
	} {
		t.Run(method.String(), func(t *testing.T) {
			t.Parallel()
			conn, ctx, table := connect(t, method), t.Context(), "types_"+method.String()
			if err := conn.Ping(ctx); err != nil {
				t.Fatal(err)
			}
			if err := conn.Exec(ctx, "CREATE OR REPLACE TABLE "+table+" ("+everyTypeColumns+") ENGINE = MergeTree ORDER BY seq"); err != nil {
				t.Fatal(err)
			}
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+table)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = batch.Close() }()
			const rows = 3000
			for i := range rows {
				row := everyTypeRow(i)
				if err := batch.AppendStruct(&row); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			got, err := conn.Query(driver.Context(ctx, driver.WithSettings(driver.Settings{"max_block_size": 1000})), "SELECT * FROM "+table+" ORDER BY seq")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = got.Close() }()
			n := 0
			for ; got.Next(); n++ {
				var row everyType
				if err := got.ScanStruct(&row); err != nil {
					t.Fatal(err)
				}
				if want := everyTypeRow(n); !reflect.DeepEqual(row, want) {
					t.Fatalf("row %d:\ngot  %+v\nwant %+v", n, row, want)
				}
			}
			if got.Err() != nil || n != rows {
				t.Errorf("%d rows, %v, want %d", n, got.Err(), rows)
			}
		})
	}
}

// TestClientReadsTypes reads types that tables here do not have and queries may.
func TestClientReadsTypes(t *testing.T) {
	t.Parallel()
	conn, ctx := connect(t, driver.CompressionLZ4), t.Context()
	for expression, want := range map[string]string{
		"toDecimal64(1.25, 4)":              "1.25",
		"toInt256('-12345678901234567890')": "-12345678901234567890",
		"toIPv4('1.2.3.4')":                 "1.2.3.4",
		"INTERVAL 3 DAY":                    "3 Days",
		"NULL":                              "<nil>",
		"[NULL, 1][2]":                      "1",
		"['a', 'b', 'a']::Array(LowCardinality(String))":              "[a b a]",
		"toDateTime64('2026-01-02 03:04:05.678', 3, 'Europe/Berlin')": "2026-01-02 03:04:05.678 +0100 CET",
		"5::Variant(UInt8, String)":                                   "5",
		"'x'::Dynamic":                                                "x",
		"map('a', [1, 2])":                                            "map[a:[1 2]]",
		"(1.5, 2.5)::Point":                                           "[1.5 2.5]",
		"true":                                                        "true",
	} {
		rows, err := conn.Query(ctx, "SELECT "+expression+" FROM numbers(2)")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		n := 0
		for ; rows.Next(); n++ {
			value := reflect.New(rows.ColumnTypes()[0].ScanType())
			if err := rows.Scan(value.Interface()); err != nil {
				t.Errorf("%s: %v", expression, err)
				continue
			}
			if got := shown(value.Elem()); got != want {
				t.Errorf("%s: got %s, want %s", expression, got, want)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != 2 {
			t.Errorf("%s: %d rows, %v, want 2", expression, n, err)
		}
	}
}

// shown gives a scanned value as text.
func shown(value reflect.Value) string {
	for value.Kind() == reflect.Pointer && !value.IsNil() {
		value = value.Elem()
	}
	switch v := value.Interface().(type) {
	case big.Int:
		return v.String()
	case driver.Variant:
		return fmt.Sprint(v.Any())
	default:
		return fmt.Sprint(v)
	}
}
