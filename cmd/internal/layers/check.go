package layers

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Breach of a house rule, ready to be read.
type Breach struct {
	Where string // file:line, or a package
	What  string
}

func (b Breach) String() string { return b.Where + ": " + b.What }

// CheckImports holds packages against the table. Rules are for the files that
// ship. Tests, and packages that exist for tests, may import what they like
// except cmd, which nothing below it knows.
func CheckImports(packages []Package, table []Rule) []Breach {
	var breaches []Breach
	for _, p := range packages {
		rule, ok := ruleFor(p.Path, table)
		if !ok && ships(p) {
			breaches = append(breaches, Breach{p.Path, "has no row in the import table (cmd/internal/layers/table.go): place it in a layer"})
			continue
		}
		for _, f := range p.Files {
			free := f.Test || isTestKit(p.Path)
			for _, imported := range f.Imports {
				if why := forbidden(p.Path, rule, imported, free); why != "" {
					breaches = append(breaches, Breach{fmt.Sprintf("%s:%d", f.Name, imported.Line), why})
				}
			}
		}
	}
	return breaches
}

// ships reports whether p has files outside tests that need a rule.
func ships(p Package) bool {
	return !isTestKit(p.Path) && slices.ContainsFunc(p.Files, func(f File) bool { return !f.Test })
}

// isTestKit recognises packages made for tests: brokertest, connecttest, the
// simulation and the robustness harness, the test bed.
func isTestKit(p string) bool {
	return strings.HasSuffix(path.Base(p), "test") || matches("broker/internal/...", p) || matches("deploy/testbed/...", p)
}

// forbidden explains why the package at from may not import imported, or
// returns "".
func forbidden(from string, rule Rule, imported Import, free bool) string {
	const table = "; see the import table in cmd/internal/layers/table.go"
	switch {
	case !imported.Internal && isStd(imported.Path):
		return ""
	case imported.Internal && matches("cmd/...", imported.Path) && !matches("cmd/...", from):
		return fmt.Sprintf("%s imports %s: nothing imports cmd", from, imported.Path) + table
	case free:
		return ""
	case imported.Internal && isTestKit(imported.Path) && !slices.Contains(rule.Internal, imported.Path):
		return fmt.Sprintf("%s imports %s, which is for tests", from, imported.Path) + table
	case imported.Internal && !matchesAny(rule.Internal, imported.Path):
		return fmt.Sprintf("%s may not import %s (allowed: %s)", from, imported.Path, listed(rule.Internal)) + table
	case !imported.Internal && !prefixed(rule.Modules, imported.Path) && !prefixed(light(), imported.Path):
		return fmt.Sprintf("%s may not import the module package %s (allowed: %s)", from, imported.Path, listed(rule.Modules)) + table
	}
	return ""
}

func listed(patterns []string) string {
	if len(patterns) == 0 {
		return "none"
	}
	return strings.Join(patterns, ", ")
}

// isStd: paths of the standard library have no dot in their first element.
func isStd(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func ruleFor(p string, table []Rule) (best Rule, ok bool) {
	for _, r := range table {
		if r.Package == p {
			return r, true
		}
		if matches(r.Package, p) && (!ok || len(r.Package) > len(best.Package)) {
			best, ok = r, true
		}
	}
	return best, ok
}

func matches(pattern, p string) bool {
	stem, family := strings.CutSuffix(pattern, "/...")
	return p == stem || family && strings.HasPrefix(p, stem+"/")
}

func matchesAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

func prefixed(prefixes []string, p string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		return prefix == anyPath || p == prefix || strings.HasPrefix(p, prefix+"/")
	})
}
