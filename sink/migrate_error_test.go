package sink

import (
	"fmt"
	"strings"
	"testing"
)

// Who may not migrate, or has servers that are away, is told what to do; only the latter
// is waited for.
func TestMigrationAdvice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		want   string
		passes bool
	}{
		{&fault{code: codeAccessDenied, text: "denied"}, "run `sink migrate` as one who may", false},
		{&fault{code: codeProhibited, text: "prohibited"}, "run `sink migrate` as one who may", false},
		{&fault{code: codeTimeout, text: "timeout"}, "all have to be up", true},
		{&fault{unreachable: true, text: "away"}, "away", true},
		{&fault{code: 62, text: "syntax"}, "syntax", false},
	} {
		err := mayNotMigrate(fmt.Errorf("apply migrations: %w", tt.err))
		if !strings.Contains(err.Error(), tt.want) || passes(err) != tt.passes {
			t.Errorf("%v: passes %t", err, passes(err))
		}
	}
}
