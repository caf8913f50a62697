package sink

import (
	"os"
	"strings"
	"testing"
)

// The embedded engine has no place to keep roles in, so that CREATE ROLE answers
// error 497 whatever its configuration. Its parser reads the statements though,
// and what they grant can be compared with what there is.
func TestRoles(t *testing.T) {
	ch := cleanEngine(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	granted := map[string]bool{}
	for _, statement := range roleStatements(placement{}) {
		if out, err := ch.try("EXPLAIN AST " + statement); err != nil || out == "" {
			t.Errorf("%s: %v", statement, err)
		}
		if _, rest, found := strings.Cut(statement, "GRANT SELECT ON sluice."); found {
			granted[strings.Fields(rest)[0]] = true
		}
	}
	for name := range strings.FieldsSeq(ch.query(t, "SELECT name FROM system.tables WHERE database = 'sluice' AND (engine = 'View' OR name = 'events')")) {
		if !granted[name] {
			t.Errorf("nobody may read %s", name)
		}
		delete(granted, name)
	}
	if len(granted) > 0 {
		t.Errorf("granted, but not there: %v", granted)
	}
	if err := ApplyRoles(t.Context(), ch.settings()); err == nil || !strings.Contains(err.Error(), "497") {
		t.Errorf("the embedded engine keeps roles now, so they can be tested: %v", err)
	}
}

// What the operator finds in deploy/ is what the binary applies.
func TestRolesInDeploy(t *testing.T) {
	have, err := os.ReadFile("../deploy/clickhouse/roles.sql")
	if *update {
		err = os.WriteFile("../deploy/clickhouse/roles.sql", []byte(rolesFile), 0o600)
		have = []byte(rolesFile)
	}
	if err != nil || string(have) != rolesFile {
		t.Errorf("deploy/clickhouse/roles.sql is not sink/roles.sql: go test ./sink -run TestRolesInDeploy -update (%v)", err)
	}
}
