package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"go.yaml.in/yaml/v3"
)

// dashboard is what the tests look at of a dashboard's JSON.
type dashboard struct {
	UID    string  `json:"uid"`
	Title  string  `json:"title"`
	Panels []panel `json:"panels"`
	Links  []struct {
		URL string `json:"url"`
	} `json:"links"`
	Templating struct {
		List []struct {
			Name       string          `json:"name"`
			Type       string          `json:"type"`
			Query      string          `json:"query"`
			Datasource *datasource     `json:"datasource"`
			Current    json.RawMessage `json:"current"`
		} `json:"list"`
	} `json:"templating"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  *datasource `json:"datasource"`
	GridPos     struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID      string `json:"id"`
				Options string `json:"options"`
			} `json:"matcher"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Options struct {
		ReduceOptions struct {
			Fields string `json:"fields"`
		} `json:"reduceOptions"`
	} `json:"options"`
	Targets []target `json:"targets"`
}

type target struct {
	RefID        string      `json:"refId"`
	Datasource   *datasource `json:"datasource"`
	Expr         string      `json:"expr"`
	LegendFormat string      `json:"legendFormat"`
	RawSQL       string      `json:"rawSql"`
	Format       any         `json:"format"`
	QueryType    string      `json:"queryType"`
}

// dashboards reads all of them, strictly by Grafana's own schema.
func dashboards(t *testing.T) []dashboard {
	t.Helper()
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob(filepath.Join("..", "deploy", "grafana", "dashboards", "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("found %d dashboards, error %v; want 2", len(files), err)
	}
	var all []dashboard
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var strict grafana.Dashboard //nolint:staticcheck // the schema that Grafana's provisioning and its export still have
		var wrong cog.BuildErrors    // it answers with an empty list of them where nothing is wrong
		if err := strict.UnmarshalJSONStrict(raw); !errors.As(err, &wrong) || len(wrong) > 0 {
			t.Errorf("%s is not as Grafana's schema has it: %v", file, err)
		}
		var d dashboard
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, d)
	}
	return all
}

// provisioned are the data sources by uid, with their types.
func provisioned(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "deploy", "grafana", "provisioning", "datasources", "sluice.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Datasources []struct {
			UID    string         `yaml:"uid"`
			Type   string         `yaml:"type"`
			Secure map[string]any `yaml:"secureJsonData"`
		} `yaml:"datasources"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, s := range file.Datasources {
		sources[s.UID] = s.Type
		for name, value := range s.Secure {
			if text, _ := value.(string); !strings.HasPrefix(text, "$__file{") {
				t.Errorf("%s of %s is not read from a file", name, s.UID)
			}
		}
	}
	return sources
}

func (o *observed) dashboards(t *testing.T) {
	sources, uids := provisioned(t), []string{}
	all := dashboards(t)
	for _, d := range all {
		if d.UID == "" || slices.Contains(uids, d.UID) {
			t.Errorf("%s: uid %q is missing or there twice", d.Title, d.UID)
		}
		uids = append(uids, d.UID)
	}
	for _, d := range all {
		for _, link := range d.Links {
			if uid, is := strings.CutPrefix(link.URL, "/d/"); is && !slices.Contains(uids, uid) {
				t.Errorf("%s: links to %s, which is not there", d.Title, link.URL)
			}
		}
		checkLayout(t, d)
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				if rows := o.rows(t, v.Query); len(rows.Data) == 0 {
					t.Errorf("%s: variable %s has no values", d.Title, v.Name)
				}
			}
		}
		for _, p := range d.Panels {
			if p.Type == "row" {
				continue
			}
			name := d.UID + "/" + strings.ReplaceAll(p.Title, " ", "_")
			t.Run(name, func(t *testing.T) {
				if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" {
					t.Error("lacks title, description or unit")
				}
				if len(p.Targets) == 0 {
					t.Error("asks nothing")
				}
				for _, q := range p.Targets {
					if q.Datasource == nil || sources[q.Datasource.UID] != q.Datasource.Type || *q.Datasource != *p.Datasource {
						t.Errorf("%s: data source %+v is not provisioned, or is not the panel's", q.RefID, q.Datasource)
					}
					if q.RawSQL != "" {
						o.checkSQL(t, p, q)
						continue
					}
					if err := o.checkPromQL(q.Expr); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// checkLayout holds that ids are unique and that no panel lies on another or beyond the edge.
func checkLayout(t *testing.T, d dashboard) {
	t.Helper()
	ids := map[int]bool{}
	cells := map[string]string{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s, %s: id %d is missing or there twice", d.Title, p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%s, %s: lies beyond the edge: %+v", d.Title, p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				cell := fmt.Sprint(x, " ", y)
				if other := cells[cell]; other != "" {
					t.Fatalf("%s: %q lies on %q", d.Title, p.Title, other)
				}
				cells[cell] = p.Title
			}
		}
	}
}

// answer is ClickHouse's format JSON.
type answer struct {
	Meta []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"meta"`
	Data []map[string]any `json:"data"`
}

func (o *observed) rows(t *testing.T, sql string) answer {
	t.Helper()
	text, err := o.query(sql + " FORMAT JSON")
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// checkSQL runs a panel's query, for all tenants and for one, and holds that the answer has rows and the columns that the
// panel draws.
func (o *observed) checkSQL(t *testing.T, p panel, q target) {
	t.Helper()
	o.rows(t, o.expand(t, q.RawSQL, []string{"default", "it's"})) // quotes in names do no harm
	got := o.rows(t, o.expand(t, q.RawSQL, nil))
	if len(got.Data) == 0 {
		t.Fatalf("no rows: %s", q.RawSQL)
	}
	columns, numbers := map[string]string{}, 0
	for _, column := range got.Meta {
		columns[column.Name] = column.Type
		if regexp.MustCompile(`^(Nullable\()?(U?Int|Float)`).MatchString(column.Type) {
			numbers++
		}
	}
	for _, override := range p.FieldConfig.Overrides {
		if name := override.Matcher.Options; override.Matcher.ID == "byName" && columns[name] == "" {
			t.Errorf("shows a column %q, which the query does not have", name)
		}
	}
	if field := p.Options.ReduceOptions.Fields; field != "" && columns[field] == "" {
		t.Errorf("draws a column %q, which the query does not have", field)
	}
	switch p.Type {
	case "timeseries":
		if first := got.Meta[0]; first.Name != "time" || !strings.HasPrefix(first.Type, "DateTime") || q.Format != float64(0) || q.QueryType != "timeseries" {
			t.Errorf("is no time series: first column %+v, format %v", first, q.Format)
		}
	case "stat":
		if len(got.Data) != 1 || len(got.Meta) != 1 || fmt.Sprint(got.Data[0][got.Meta[0].Name]) == "0" {
			t.Errorf("wants one number: got %v", got.Data)
		}
	default:
		if q.Format != float64(1) || q.QueryType != "table" {
			t.Errorf("is no table: format %v", q.Format)
		}
	}
	if numbers == 0 && p.Type != "table" {
		t.Errorf("has nothing to draw: %+v", got.Meta)
	}
}

// conditional is $__conditionalAll(condition, $variable), whose condition holds calls of its own.
const conditional = "$__conditionalAll("

// expand does what Grafana and its ClickHouse plugin do with a query before it is sent. No tenants means all of them.
func (o *observed) expand(t *testing.T, sql string, tenants []string) string {
	t.Helper()
	for {
		before, rest, found := strings.Cut(sql, conditional)
		if !found {
			break
		}
		depth, end := 1, 0
		for ; depth > 0; end++ {
			switch rest[end] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		condition, variable, _ := strings.Cut(rest[:end-1], ", $")
		if variable != "tenant" {
			t.Fatalf("asks for all of %q", variable)
		}
		if tenants == nil {
			condition = "1=1"
		}
		sql = before + condition + rest[end:]
	}
	quoted := make([]string, len(tenants))
	for i, tenant := range tenants {
		quoted[i] = "'" + strings.ReplaceAll(tenant, "'", `\'`) + "'"
	}
	sql = strings.NewReplacer("${tenant:singlequote}", strings.Join(quoted, ","), "${failures}", "10", "${people}", "5").Replace(sql)

	from, to := moment(o.began.Add(-2*time.Hour)), moment(time.Now().Add(time.Minute))
	for name, with := range map[string]string{
		`\$__timeFilter\(([^()]*)\)`:   "$1 >= " + from + " AND $1 <= " + to,
		`\$__timeInterval\(([^()]*)\)`: "toStartOfInterval(toDateTime($1), INTERVAL 60 second)",
		`\$__fromTime\b`:               from,
		`\$__toTime\b`:                 to,
	} {
		sql = regexp.MustCompile(name).ReplaceAllString(sql, with)
	}
	if strings.Contains(sql, "$") {
		t.Fatalf("has something that Grafana would not replace: %s", sql)
	}
	return sql
}

func moment(at time.Time) string { return "toDateTime(" + strconv.FormatInt(at.Unix(), 10) + ")" }
