package faults

import (
	"testing"

	"github.com/google/uuid"
)

func TestCompare(t *testing.T) {
	pk := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	l := newLedger()
	l.acknowledge([]uuid.UUID{pk(9), pk(1), pk(4)}, map[string]int{"one": 1})
	l.risk([]uuid.UUID{pk(5), pk(6)})
	tests := []struct {
		name                          string
		stored                        []uuid.UUID
		missing, strange, twice, lost int
	}{
		{"all", []uuid.UUID{pk(1), pk(4), pk(9)}, 0, 0, 0, 2},
		{"with one that was at risk", []uuid.UUID{pk(5), pk(9), pk(4), pk(1)}, 0, 0, 0, 1},
		{"nothing", nil, 3, 0, 0, 2},
		{"the first is missing", []uuid.UUID{pk(4), pk(9)}, 1, 0, 0, 2},
		{"the last is missing", []uuid.UUID{pk(1), pk(4)}, 1, 0, 0, 2},
		{"one twice", []uuid.UUID{pk(4), pk(1), pk(9), pk(4)}, 0, 0, 1, 2},
		{"the last twice", []uuid.UUID{pk(4), pk(1), pk(9), pk(9)}, 0, 0, 1, 2},
		{"one that nobody knows", []uuid.UUID{pk(1), pk(2), pk(4), pk(9)}, 0, 1, 0, 2},
		{"another instead", []uuid.UUID{pk(1), pk(3), pk(9), pk(10)}, 1, 2, 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := l.compare(tt.stored)
			if len(d.missing) != tt.missing || len(d.strange) != tt.strange || len(d.twice) != tt.twice || d.lost != tt.lost {
				t.Errorf("got %+v", d)
			}
		})
	}
}
