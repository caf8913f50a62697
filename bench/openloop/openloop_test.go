package openloop

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	want := []Sent{
		{PK: "a", Due: time.Unix(1, 5), Acknowledged: time.Unix(2, 7), Probe: true},
		{PK: "b", Due: time.Unix(3, 0), Acknowledged: time.Unix(4, 0)},
	}
	var text bytes.Buffer
	if err := Write(&text, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"a 1 2", "a x 2 true", "a 1 2 maybe"} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
