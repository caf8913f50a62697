package notifier

import (
	"fmt"
	"testing"
)

func TestVersionsAreNewsOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		want  []bool
	}{
		{"newer", []string{"2026.2.0", "2026.2.1", "2026.5.0"}, []bool{true, true, true}},
		{"older and same", []string{"1.10.0", "1.9.0", "1.10.0", "v1.10", "1.10.0+build7"}, []bool{true, false, false, false, false}},
		{"candidate, then release", []string{"2.0.0-rc1", "2.0.0-rc2", "2.0.0", "2.0.0-rc3"}, []bool{true, true, true, false}},
		{"names", []string{"bookworm", "trixie", "bookworm"}, []bool{true, true, false}},
		{"names and versions", []string{"1.0.0", "edge", "1.0.0", "edge", "1.0.1"}, []bool{true, true, false, false, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v versions
			for i, name := range c.names {
				got := v.isNews(name)
				if got != c.want[i] {
					t.Errorf("%q after %q: news is %v, want %v", name, c.names[:i], got, c.want[i])
				}
				if got {
					v.learn(name)
				}
			}
		})
	}
}

func TestVersionsAreBounded(t *testing.T) {
	var v versions
	for i := range 10 * maxOtherVersions {
		v.learn(fmt.Sprintf("nightly %d", i))
	}
	if len(v.Others) != maxOtherVersions || v.isNews("nightly 999") || !v.isNews("nightly 0") {
		t.Errorf("%d names, last %q", len(v.Others), v.Others[len(v.Others)-1])
	}
}
