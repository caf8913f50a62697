package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"sluice/redactor/redact/corpus"
	"sluice/redactor/redact/credential"
)

// The three that are judged.
const (
	sluice = iota
	authentik
	leaksScanner
	judged
)

// tally is how many cases there were and in how many each failed.
type tally struct {
	cases  int
	failed [judged]int
}

// report is what came out.
type report struct {
	families, carriers, sources map[string]*tally
	all, benign                 tally
	lost                        int
	gitleaks                    string
}

func newReport() *report {
	return &report{families: map[string]*tally{}, carriers: map[string]*tally{}, sources: map[string]*tally{}}
}

func at(table map[string]*tally, key string) *tally {
	if table[key] == nil {
		table[key] = &tally{}
	}
	return table[key]
}

func (t *tally) add(who int, failed bool) {
	if who == sluice {
		t.cases++
	}
	if failed {
		t.failed[who]++
	}
}

func (r *report) secret(c corpus.Case, who int, leaked bool) {
	for _, t := range []*tally{&r.all, at(r.families, r.family(c.Family)), at(r.carriers, c.Carrier)} {
		t.add(who, leaked)
	}
}

func (r *report) harmless(c corpus.Case, who int, changed bool) {
	r.benign.add(who, changed)
	at(r.sources, c.Carrier).add(who, changed)
}

// family is the line of the table on which a family is told.
func (r *report) family(name string) string {
	if formats[name] {
		return "format: " + name
	}
	return name
}

var formats = func() map[string]bool {
	names := map[string]bool{}
	for _, f := range credential.Formats() {
		names[f.Name] = true
	}
	return names
}()

// recall is how many of the secrets did not get through, in percent.
func (t *tally) recall(who int) string {
	return strconv.FormatFloat(100*float64(t.cases-t.failed[who])/float64(t.cases), 'f', 1, 64) + " %"
}

func (r *report) write(w io.Writer) {
	scanner := func(text string) string {
		if r.gitleaks == "" {
			return "not run"
		}
		return text
	}
	fmt.Fprintf(w, `# Redaction report

Made by `+"`make redaction-report`"+` from the corpus in redactor/redact/corpus (seed %d): %d events with a made-up secret
in them, each family of secrets in each carrier that it can stand in, and %d harmless events. A secret is masked if
no trace of it is left in the event, in the paths that are reported, or in the carrier's encoding. A harmless event is
changed if one byte of it is.

| | Sluice | authentik's rule | gitleaks %s |
|---|---|---|---|
| secrets masked or found | %d of %d (%s) | %d (%s) | %s |
| harmless events changed or reported | %d of %d | %d | %s |
| text lost beside a secret | %d | | |

How to read it. authentik's rule looks at the names of members alone, which is all that it is for; it is given the same
events. gitleaks is made for source code, and searches each event as a file: it reports and masks nothing, so a secret
counts as found if a finding holds it. Its default rules leave out passwords of little entropy on purpose. The corpus is
Sluice's own: it holds what the redactor promises, in texts that its authors thought of, and says nothing about a
password in a sentence or under a name that means nothing, which nobody can know.

`, corpus.Seed, r.all.cases, r.benign.cases, r.gitleaks,
		r.all.cases-r.all.failed[sluice], r.all.cases, r.all.recall(sluice), r.all.cases-r.all.failed[authentik], r.all.recall(authentik),
		scanner(fmt.Sprintf("%d (%s)", r.all.cases-r.all.failed[leaksScanner], r.all.recall(leaksScanner))),
		r.benign.failed[sluice], r.benign.cases, r.benign.failed[authentik], scanner(strconv.Itoa(r.benign.failed[leaksScanner])), r.lost)
	r.table(w, "By carrier", "carrier", r.carriers, (*tally).recall, scanner)
	r.table(w, "By family", "family", r.families, (*tally).recall, scanner)
	changed := func(t *tally, who int) string { return strconv.Itoa(t.failed[who]) }
	r.table(w, "Harmless events, by what they stand for: how many were changed", "harmless event", r.sources, changed, scanner)
}

func (r *report) table(w io.Writer, title, head string, of map[string]*tally, cell func(*tally, int) string,
	scanner func(string) string,
) {
	fmt.Fprintf(w, "## %s\n\n| %s | cases | Sluice | authentik | gitleaks |\n|---|---|---|---|---|\n", title, head)
	for _, key := range slices.Sorted(maps.Keys(of)) {
		t := of[key]
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s |\n", key, t.cases, cell(t, sluice), cell(t, authentik), scanner(cell(t, leaksScanner)))
	}
	fmt.Fprintln(w)
}
