package bridge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ClickHouse/ch-go/compress"

	"sluice/standalone/clickhouse/chdb"
)

// sample is data that compresses, longer than a frame.
func sample() []byte {
	source := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- the same data every time
	data := make([]byte, outFrameBytes+12345)
	for i := range data {
		data[i] = byte(source.IntN(4))
	}
	return data
}

func TestFramesRoundTrip(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"", "LZ4", "ZSTD", "T64"} {
		for _, data := range [][]byte{nil, []byte("x"), sample()} {
			var framed bytes.Buffer
			writer, err := newFrameWriter(&framed, method)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := writer.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(newFrameReader(&framed))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q, %d bytes: got %d bytes, %v", method, len(data), len(got), err)
			}
		}
	}
}

// TestFramesOfClient reads what clickhouse-go's own encoder makes.
func TestFramesOfClient(t *testing.T) {
	t.Parallel()
	for _, method := range []compress.Method{compress.None, compress.LZ4, compress.LZ4HC, compress.ZSTD} {
		data := sample()[:50_000]
		encoder := compress.NewWriter(compress.LevelZero, method)
		if err := encoder.Compress(data); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(newFrameReader(bytes.NewReader(encoder.Data)))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%v: got %d bytes, %v, want %d", method, len(got), err, len(data))
		}
	}
}

func TestFramesRefused(t *testing.T) {
	t.Parallel()
	encoder := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := encoder.Compress([]byte("some data, some data, some data")); err != nil {
		t.Fatal(err)
	}
	changed := func(change func(frame []byte) []byte) []byte { return change(bytes.Clone(encoder.Data)) }
	for _, test := range []struct {
		name  string
		frame []byte
		code  int
	}{
		{"cut in its head", encoder.Data[:10], codeCannotDecompress},
		{"cut in its data", encoder.Data[:len(encoder.Data)-1], codeCannotDecompress},
		{"changed", changed(func(f []byte) []byte { f[len(f)-1] ^= 1; return f }), codeChecksumMismatch},
		{"claims too much", changed(func(f []byte) []byte { binary.LittleEndian.PutUint32(f[21:], 1<<31); return f }), codeCannotDecompress},
		{"claims less than its head", changed(func(f []byte) []byte { binary.LittleEndian.PutUint32(f[17:], 3); return f }), codeCannotDecompress},
		{"claims gigabytes and ends", changed(func(f []byte) []byte { binary.LittleEndian.PutUint32(f[17:], maxFrameBytes); return f }), codeCannotDecompress},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := io.ReadAll(newFrameReader(bytes.NewReader(test.frame)))
			raised, ok := errors.AsType[*chdb.Error](err)
			if !ok || raised.Code != test.code {
				t.Errorf("got %v, want code %d", err, test.code)
			}
		})
	}
}

// FuzzFrames holds that no input makes the reader panic or give more than what
// its size allows.
func FuzzFrames(f *testing.F) {
	for _, method := range []compress.Method{compress.None, compress.LZ4, compress.ZSTD} {
		encoder := compress.NewWriter(compress.LevelZero, method)
		if err := encoder.Compress([]byte("some data, some data, some data")); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(encoder.Data))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		reader := newFrameReader(bytes.NewReader(input))
		defer reader.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(reader, 1<<24))
		if n > 0 && len(input) <= frameChecksumBytes+frameHeadBytes {
			t.Fatalf("%d bytes out of %q, %v", n, input, err)
		}
	})
}
