package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestReport holds what the report says to what the redactor promises: nothing
// leaks, nothing else is changed.
func TestReport(t *testing.T) {
	t.Parallel()
	r, err := measure(t.Context(), "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if r.all.cases < 10_000 || r.all.failed[sluice] > 0 || r.benign.cases < 250 || r.benign.failed[sluice] > 0 || r.lost > 0 {
		t.Errorf("of %d secrets %d leaked, of %d harmless events %d changed, %d texts lost",
			r.all.cases, r.all.failed[sluice], r.benign.cases, r.benign.failed[sluice], r.lost)
	}
	if r.all.failed[authentik] < r.all.cases/2 || r.benign.failed[authentik] == 0 {
		t.Errorf("authentik's rule: %d leaked, %d changed: it cannot be so good", r.all.failed[authentik], r.benign.failed[authentik])
	}
	var page bytes.Buffer
	r.write(&page)
	for _, want := range []string{"# Redaction report", "| base64_json |", "| format: jwt |", "not run"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}
