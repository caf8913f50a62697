package main

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sluice/producer/intake"
)

func TestProgress(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		summary intake.Summary
		size    int64
		want    string
	}{
		{intake.Summary{}, 10 * mib, "[                    ]   0 % of 10.0 MiB, 0 events, 0/s"},
		{intake.Summary{Published: 900, Duplicate: 90, Refused: 10, Bytes: 5 * mib}, 10 * mib, "[##########          ]  50 % of 10.0 MiB, 1000 events, 500/s, refused 10"},
		{intake.Summary{Published: 1000, Bytes: 10 * mib}, 10 * mib, "[####################] 100 % of 10.0 MiB, 1000 events, 500/s"},
		{intake.Summary{Published: 1000, Bytes: 12 * mib}, 10 * mib, "[####################] 100 % of 10.0 MiB, 1000 events, 500/s"}, // it grew
		{intake.Summary{Published: 1000, Bytes: 3 * mib}, 0, "3.0 MiB, 1000 events, 500/s"},
	} {
		got := progress(tc.summary, tc.size, 2*time.Second)
		if got != tc.want {
			t.Errorf("got  %q\nwant %q", got, tc.want)
		}
		if len(got) > 80 {
			t.Errorf("%q does not fit a line of 80", got)
		}
	}
}

func TestScreenKeepsTheProgressBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		now := time.Now()
		s := &screen{out: &out, terminal: true, started: now, drawn: now}
		s.show(intake.Summary{Published: 1}) // too early
		time.Sleep(redrawEvery)
		s.show(intake.Summary{Published: 2})
		fmt.Fprintln(s, "a line")
		time.Sleep(redrawEvery)
		s.show(intake.Summary{Published: 3})
		s.close()
		s.close()
		want := "0.0 MiB, 2 events, 10/s" + "\r\x1b[K" + "a line\n" + "0.0 MiB, 3 events, 8/s" + "\r\x1b[K"
		if out.String() != want {
			t.Errorf("got  %q\nwant %q", &out, want)
		}
	})
}

func TestScreenIsQuietWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out}
	s.show(intake.Summary{Published: 1})
	fmt.Fprintln(s, "a line")
	s.close()
	if out.String() != "a line\n" {
		t.Errorf("got %q", &out)
	}
}
