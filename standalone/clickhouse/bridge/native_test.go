package bridge

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"sluice/standalone/clickhouse/chdb"
)

// nativeBlocks gives two blocks at a revision.
func nativeBlocks(t testing.TB, revision uint64) []byte {
	t.Helper()
	var buffer chproto.Buffer
	for n := range 2 {
		block := proto.NewBlock()
		for _, spec := range [][2]string{{"id", "UInt64"}, {"name", "LowCardinality(String)"}, {"list", "Array(Nullable(String))"}} {
			if err := block.AddColumn(spec[0], column.Type(spec[1])); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1 + 3*n {
			if err := block.Append(uint64(i), "name", []*string{nil, new("x")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := block.Encode(&buffer, revision); err != nil {
			t.Fatal(err)
		}
	}
	return buffer.Buf
}

func TestNativeUpgrade(t *testing.T) {
	t.Parallel()
	for _, revision := range []uint64{1, 54405, 54454, 54460} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
			var got bytes.Buffer
			source := wrap(bytes.NewReader(nativeBlocks(t, 0)))
			if err := newNativeUpgrader(&got, source, revision).upgrade(); err != nil {
				t.Fatalf("%s, revision %d: %v", name, revision, err)
			}
			if want := nativeBlocks(t, revision); !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s, revision %d:\ngot  %q\nwant %q", name, revision, got.Bytes(), want)
			}
		}
	}
}

func TestNativeUpgradeWithoutRows(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := newNativeUpgrader(&got, strings.NewReader("\x01\x00\x01a\x16LowCardinality(String)"), 54460).upgrade(); err != nil {
		t.Fatal(err)
	}
	if want := string(blockInfo) + "\x01\x00\x01a\x16LowCardinality(String)\x00"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}

func TestNativeUpgradeRefuses(t *testing.T) {
	t.Parallel()
	whole := nativeBlocks(t, 0)
	if err := newNativeUpgrader(io.Discard, bytes.NewReader(whole[:len(whole)-1]), 54460).upgrade(); err == nil {
		t.Error("a block that is cut short passes")
	}
	err := newNativeUpgrader(io.Discard, bytes.NewReader([]byte("\x01\x01\x01a\x1fAggregateFunction(sum, UInt8) AS x")), 54460).upgrade()
	if raised, ok := errors.AsType[*chdb.Error](err); !ok || raised.Code != codeNotImplemented {
		t.Errorf("a type without an encoding: %v", err)
	}
	broken := errors.New("broken")
	if err := newNativeUpgrader(io.Discard, iotest.ErrReader(broken), 54460).upgrade(); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func FuzzNativeUpgrade(f *testing.F) {
	f.Add(nativeBlocks(f, 0))
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 1<<12 || bytes.ContainsAny(input, "\xff\xfe\xfd\xfc") {
			t.Skip("the decoder trusts the engine's sizes")
		}
		var out bytes.Buffer
		if err := newNativeUpgrader(&out, bytes.NewReader(input), 54460).upgrade(); err == nil && out.Len() < len(input) {
			t.Fatalf("%d bytes became %d", len(input), out.Len())
		}
	})
}
