package layers

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// CheckTidy looks for breaches of habits: a package without doc.go, an init
// function, a package-level variable that is written to, and a test that sleeps
// instead of waiting for what it needs.
func CheckTidy(m *Module) []Breach {
	var breaches []Breach
	for _, p := range m.Packages {
		breaches = append(breaches, checkDoc(p)...)
		breaches = append(breaches, checkVariables(m.Fset, p)...)
		for _, f := range p.Files {
			breaches = append(breaches, checkInit(m.Fset, f)...)
			if f.Test {
				breaches = append(breaches, checkSleep(m.Fset, f)...)
			}
		}
	}
	return breaches
}

func at(fset *token.FileSet, f File, pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.Name, fset.Position(pos).Line)
}

func checkDoc(p Package) []Breach {
	hasDoc := func(f File) bool { return path.Base(f.Name) == "doc.go" && f.Syntax.Doc != nil }
	onlyTests := !slices.ContainsFunc(p.Files, func(f File) bool { return !f.Test })
	if onlyTests || slices.ContainsFunc(p.Files, hasDoc) {
		return nil
	}
	return []Breach{{p.Path, "has no doc.go with a package comment: purpose, layer, invariants, goroutines it owns"}}
}

func checkInit(fset *token.FileSet, f File) []Breach {
	var breaches []Breach
	for _, decl := range f.Syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			breaches = append(breaches, Breach{at(fset, f, fn.Pos()), "init function: build state in New and pass it on"})
		}
	}
	return breaches
}

// checkVariables finds package-level variables that some function of the
// package assigns to, or whose type exists only to be changed. What is merely
// read (sentinel errors, tables, compile-time checks) passes. Tests may keep
// flags and the like. It knows names by file scope only, without types, so it
// can miss a write through a pointer but hardly accuses wrongly.
func checkVariables(fset *token.FileSet, p Package) []Breach {
	variables := map[string]*ast.ValueSpec{}
	var breaches []Breach
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for _, spec := range packageVariables(f) {
			for _, name := range spec.Names {
				if name.Name != "_" {
					variables[name.Name] = spec
				}
			}
			if kind := mutableType(spec.Type); kind != "" && !slices.Contains(cacheAllowed(), p.Path+"."+spec.Names[0].Name) {
				breaches = append(breaches, Breach{at(fset, f, spec.Pos()), fmt.Sprintf("package-level state: %s of type %s", spec.Names[0].Name, kind)})
			}
		}
	}
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for _, id := range assigned(f.Syntax) {
			spec, ok := variables[id.Name]
			// Obj is nil for a name declared in another file of the package.
			if ok && (id.Obj == nil || id.Obj.Decl == spec) {
				breaches = append(breaches, Breach{at(fset, f, id.Pos()), fmt.Sprintf("package-level variable %s is changed here: keep state in a struct", id.Name)})
			}
		}
	}
	return breaches
}

func packageVariables(f File) []*ast.ValueSpec {
	var specs []*ast.ValueSpec
	for _, decl := range f.Syntax.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				specs = append(specs, v)
			}
		}
	}
	return specs
}

// cacheAllowed lists package-level variables that hold pools by key: like a
// sync.Pool they can be emptied at any time without anybody noticing.
func cacheAllowed() []string { return []string{"broker/record.encoders"} }

// mutableType names a declared type that holds changing state. A sync.Pool is a
// cache without meaning and passes.
func mutableType(t ast.Expr) string {
	selector, ok := t.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := selector.X.(*ast.Ident)
	if !ok || pkg.Name != "sync" && pkg.Name != "atomic" || selector.Sel.Name == "Pool" {
		return ""
	}
	return pkg.Name + "." + selector.Sel.Name
}

// assigned lists the identifiers at the root of everything that functions of
// the file assign to.
func assigned(file *ast.File) []*ast.Ident {
	var ids []*ast.Ident
	add := func(e ast.Expr) {
		if id := rootIdent(e); id != nil {
			ids = append(ids, id)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				for _, left := range s.Lhs {
					add(left)
				}
			}
		case *ast.IncDecStmt:
			add(s.X)
		}
		return true
	})
	return ids
}

// rootIdent finds x in x, x.f, x[i] and *x.
func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch v := e.(type) {
		case *ast.Ident:
			return v
		case *ast.SelectorExpr:
			e = v.X
		case *ast.IndexExpr:
			e = v.X
		case *ast.StarExpr:
			e = v.X
		case *ast.ParenExpr:
			e = v.X
		default:
			return nil
		}
	}
}

// sleepAllowed lists test files in which time.Sleep is no waiting. It is empty.
func sleepAllowed() []string { return nil }

// checkSleep finds time.Sleep in a test. Inside a synctest bubble sleeping moves
// a fake clock, so whatever is written within synctest.Test passes.
func checkSleep(fset *token.FileSet, f File) []Breach {
	if slices.Contains(sleepAllowed(), f.Name) {
		return nil
	}
	var breaches []Breach
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := calledName(call)
		if strings.HasPrefix(name, "synctest.") {
			return false
		}
		if name == "time.Sleep" {
			breaches = append(breaches, Breach{at(fset, f, call.Pos()), "time.Sleep in a test: wait for the condition, or use testing/synctest"})
		}
		return true
	})
	return breaches
}

// calledName gives "pkg.Func" of a call, or "".
func calledName(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return pkg.Name + "." + selector.Sel.Name
}
