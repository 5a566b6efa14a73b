package layers

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

func load(t *testing.T) *Module {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := FindRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Packages) < 10 {
		t.Fatalf("only %d packages found below %s", len(m.Packages), root)
	}
	return m
}

func TestHouse(t *testing.T) {
	m := load(t)
	for _, b := range CheckImports(m.Packages, Table()) {
		t.Error(b)
	}
	for _, b := range CheckTidy(m) {
		t.Error(b)
	}
}

// No rule may allow a cycle of layers: following the table down must end.
func TestTableGoesDown(t *testing.T) {
	table := Table()
	var visit func(p string, above []string)
	visit = func(p string, above []string) {
		if slices.Contains(above, p) {
			t.Fatalf("the table allows a cycle: %v → %s", above, p)
		}
		rule, ok := ruleFor(p, table)
		if !ok {
			return
		}
		for _, next := range rule.Internal {
			if strings.HasSuffix(next, "/...") && matches(next, p) {
				continue // a family may use its own members; Go forbids cycles there
			}
			visit(strings.TrimSuffix(next, "/..."), append(above, p))
		}
	}
	for _, r := range table {
		visit(strings.TrimSuffix(r.Package, "/..."), nil)
	}
	names := map[string]bool{}
	for _, r := range table {
		if names[r.Package] {
			t.Errorf("%s has two rows", r.Package)
		}
		names[r.Package] = true
	}
}

// graph makes a package with one file that imports the given paths; a path that
// starts with a dot-less first element is of this module.
func graph(path string, test bool, imports ...string) []Package {
	name := path + "/x.go"
	if test {
		name = path + "/x_test.go"
	}
	f := File{Name: name, Test: test}
	for i, imported := range imports {
		internal, isInternal := strings.CutPrefix(imported, "./")
		f.Imports = append(f.Imports, Import{Path: internal, Internal: isInternal, Line: i + 3})
	}
	return []Package{{Path: path, Files: []File{f}}}
}

func TestCheckImportsCatches(t *testing.T) {
	tests := []struct {
		name    string
		from    string
		test    bool
		imports string
		want    string // part of the breach; "" when there must be none
	}{
		{"std is free", "broker/wire", false, "encoding/binary", ""},
		{"one down", "broker/commitlog", false, "./broker/record", ""},
		{"up", "broker/record", false, "./broker/commitlog", "broker/record/x.go:3: broker/record may not import broker/commitlog (allowed: none)"},
		{"server sees wire only", "broker/server", false, "./broker/api", "may not import broker/api (allowed: broker/wire)"},
		{"engine and client", "broker/replica", false, "./broker/client", "may not import broker/client"},
		{"wiring and client", "broker", false, "./broker/client", "may not import broker/client"},
		{"engine and kgo", "broker/api", false, kgo, "may not import the module package " + kgo},
		{"client has kgo", "broker/client", false, kgo, ""},
		{"streams has no kgo", "streams", false, kgo, "may not import the module package"},
		{"runtime has kgo", "streams/runtime", false, kgo, ""},
		{"streams and broker", "streams/runtime", false, "./broker", "may not import broker "},
		{"connector and worker", "connectors/file", false, "./connect/worker", "may not import connect/worker"},
		{"connector and kgo", "connectors/parquet", false, kgo, "may not import the module package"},
		{"connector and its library", "connectors/parquet", false, "github.com/parquet-go/parquet-go/encoding", ""},
		{"a name that only begins alike", "connectors/parquet", false, "github.com/parquet-go/parquet-gopher", "may not import the module package"},
		{"nothing imports cmd", "pipelines", false, "./cmd/internal/conf", "nothing imports cmd"},
		{"tests do not either", "pipelines", true, "./cmd/internal/conf", "nothing imports cmd"},
		{"cmd imports cmd", "cmd/leat", false, "./cmd/internal/conf", ""},
		{"cmd and engine", "cmd/leat", false, "./broker/replica", "may not import broker/replica"},
		{"tests may use clients", "broker/api", true, kgo, ""},
		{"kits may too", "broker/internal/brokertest", false, kgo, ""},
		{"kits stay in tests", "broker/api", false, "./broker/internal/brokertest", "which is for tests"},
		{"new folder", "broker/newcomer", false, "fmt", "has no row in the import table (cmd/internal/layers/table.go)"},
		{"new folder of tests", "broker/newcomer", true, "fmt", ""},
		{"a connector needs no row", "connectors/kinesis", false, "./connect", ""},
		{"the root", ".", false, "fmt", "has no row"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := CheckImports(graph(tt.from, tt.test, tt.imports), Table())
			if tt.want == "" {
				if len(got) > 0 {
					t.Errorf("accused: %v", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].String(), tt.want) || !strings.Contains(got[0].String(), "cmd/internal/layers/table.go") {
				t.Errorf("got %v, want a breach with %q that names the table", got, tt.want)
			}
		})
	}
}

// source parses texts into one package, named by their keys.
func source(t *testing.T, files map[string]string) *Module {
	t.Helper()
	m := &Module{Fset: token.NewFileSet(), Packages: []Package{{Path: "p"}}}
	for name, text := range files {
		syntax, err := parser.ParseFile(m.Fset, name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		m.Packages[0].Files = append(m.Packages[0].Files, File{Name: "p/" + name, Test: strings.HasSuffix(name, "_test.go"), Syntax: syntax})
	}
	return m
}

func TestCheckTidyCatches(t *testing.T) {
	const doc = "// Package p is documented.\npackage p\n"
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"clean", map[string]string{"doc.go": doc, "a.go": "package p\nimport \"errors\"\nvar Err = errors.New(\"x\")\nvar table = map[string]int{}\nfunc f() int { table := 1; table++; return table }"}, ""},
		{"no doc.go", map[string]string{"a.go": doc}, "p: has no doc.go"},
		{"empty doc.go", map[string]string{"doc.go": "package p"}, "p: has no doc.go"},
		{"tests need none", map[string]string{"a_test.go": "package p"}, ""},
		{"init", map[string]string{"doc.go": doc, "a.go": "package p\nfunc init() {}"}, "p/a.go:2: init function"},
		{"method init", map[string]string{"doc.go": doc, "a.go": "package p\ntype T int\nfunc (T) init() {}"}, ""},
		{"assigned", map[string]string{"doc.go": doc, "a.go": "package p\nvar n int\nfunc f() { n = 1 }"}, "p/a.go:3: package-level variable n"},
		{"assigned elsewhere", map[string]string{"doc.go": doc, "a.go": "package p\nvar m = map[int]int{}", "b.go": "package p\nfunc f() {\nm[1]++ }"}, "p/b.go:3: package-level variable m"},
		{"assigned in a field", map[string]string{"doc.go": doc, "a.go": "package p\nvar s struct{ a int }\nfunc f() { s.a, _ = 1, 2 }"}, "variable s"},
		{"parameter of that name", map[string]string{"doc.go": doc, "a.go": "package p\nvar n int\nfunc f(n int) { n = 1 }"}, ""},
		{"mutex", map[string]string{"doc.go": doc, "a.go": "package p\nimport \"sync\"\nvar mu sync.Mutex"}, "package-level state: mu of type sync.Mutex"},
		{"pool", map[string]string{"doc.go": doc, "a.go": "package p\nimport \"sync\"\nvar pool sync.Pool"}, ""},
		{"sleep", map[string]string{"a_test.go": "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, "p/a_test.go:3: time.Sleep in a test"},
		{"sleep in a bubble", map[string]string{"a_test.go": "package p\nfunc f() { synctest.Test(nil, func() { time.Sleep(1) }) }"}, ""},
		{"sleep outside tests", map[string]string{"doc.go": doc, "a.go": "package p\nfunc f() { time.Sleep(1) }"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := CheckTidy(source(t, tt.files))
			if tt.want == "" && len(got) > 0 {
				t.Errorf("accused: %v", got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), tt.want)) {
				t.Errorf("got %v, want one with %q", got, tt.want)
			}
		})
	}
}

func TestRootIdent(t *testing.T) {
	for text, want := range map[string]string{"a.b[c].d": "a", "(*a).b": "a", "f().x": "", "a": "a"} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if id := rootIdent(e); id != nil {
			got = id.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
