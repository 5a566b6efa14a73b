package layers

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoModule says that no go.mod was found.
var ErrNoModule = errors.New("no go.mod here or above")

// Package is one folder of Go source.
type Package struct {
	Path  string // relative to the module; "." for its root
	Files []File
}

// File is one parsed source file.
type File struct {
	Name    string // relative to the module, with slashes
	Test    bool   // *_test.go
	Imports []Import
	Syntax  *ast.File // nil in made-up graphs
}

// Import of one file. Path is relative to the module when Internal.
type Import struct {
	Path     string
	Internal bool
	Line     int
}

// Module is the source of a whole module.
type Module struct {
	Path     string // as in go.mod
	Packages []Package
	Fset     *token.FileSet
}

// FindRoot goes up from dir to the folder of go.mod.
func FindRoot(dir string) (string, error) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoModule
		}
		dir = parent
	}
}

// Load parses every Go file below root, except in testdata, in folders whose
// name starts with a dot or underscore, and in nested modules.
func Load(root string) (*Module, error) {
	name, err := moduleName(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &Module{Path: name, Fset: token.NewFileSet()}
	index := map[string]int{}
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDir(root, file, entry.Name())
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		parsed, err := m.parse(file, filepath.ToSlash(relative))
		if err != nil {
			return err
		}
		dir := path.Dir(parsed.Name)
		if _, ok := index[dir]; !ok {
			index[dir] = len(m.Packages)
			m.Packages = append(m.Packages, Package{Path: dir})
		}
		p := &m.Packages[index[dir]]
		p.Files = append(p.Files, parsed)
		return nil
	})
	return m, err
}

func skipDir(root, dir, name string) error {
	if dir == root {
		return nil
	}
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func moduleName(gomod string) (string, error) {
	text, err := os.ReadFile(gomod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s: no module line", gomod)
}

func (m *Module) parse(file, name string) (File, error) {
	syntax, err := parser.ParseFile(m.Fset, file, nil, parser.ParseComments)
	if err != nil {
		return File{}, err
	}
	f := File{Name: name, Test: strings.HasSuffix(name, "_test.go"), Syntax: syntax}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, err
		}
		relative, internal := m.relative(imported)
		f.Imports = append(f.Imports, Import{Path: relative, Internal: internal, Line: m.Fset.Position(spec.Pos()).Line})
	}
	return f, nil
}

func (m *Module) relative(imported string) (string, bool) {
	if imported == m.Path {
		return ".", true
	}
	if rest, ok := strings.CutPrefix(imported, m.Path+"/"); ok {
		return rest, true
	}
	return imported, false
}
