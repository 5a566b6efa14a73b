package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// globRegexp turns a pattern into an expression over whole paths: * and ? stay
// within a folder, ** spans folders, [a-z] is a class.
func globRegexp(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`^`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/"):
			b.WriteString(`(?:.*/)?`)
			i += 2
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(`.*`)
			i++
		case c == '*':
			b.WriteString(`[^/]*`)
		case c == '?':
			b.WriteString(`[^/]`)
		case c == '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 {
				return nil, errors.New("missing ]")
			}
			b.WriteString(strings.Replace(pattern[i:i+end+1], "[!", "[^", 1))
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(`$`)
	return regexp.Compile(b.String())
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?[") }

// baseDir is the folder below which a pattern can match.
func baseDir(pattern string) string {
	if !isPattern(pattern) {
		return filepath.Dir(pattern)
	}
	fixed := pattern[:strings.IndexAny(pattern, "*?[")]
	return filepath.Dir(fixed + "x")
}

// found is a file that a scan came across.
type found struct {
	path string
	info fs.FileInfo
}

// scan lists the regular files of the patterns, in path order, at most max.
// Folders that cannot be read are skipped; more says that files were left out.
func scan(patterns []string, exclude []*regexp.Regexp, max int) (out []found, more bool) {
	seen := map[string]bool{}
	add := func(path string) bool {
		if seen[path] || slices.ContainsFunc(exclude, func(re *regexp.Regexp) bool {
			return re.MatchString(path) || re.MatchString(filepath.Base(path))
		}) {
			return true
		}
		info, err := os.Stat(path) // links are followed
		if err != nil || !info.Mode().IsRegular() {
			return true
		}
		if len(out) >= max {
			more = true
			return false
		}
		seen[path] = true
		out = append(out, found{path, info})
		return true
	}
	for _, p := range patterns {
		if !isPattern(p) {
			add(p)
			continue
		}
		walk(p, add)
	}
	slices.SortFunc(out, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return out, more
}

func walk(pattern string, add func(string) bool) {
	re, err := globRegexp(pattern)
	if err != nil {
		return // checked when the settings were read
	}
	base, deep := baseDir(pattern), strings.Contains(pattern, "**")
	depth := strings.Count(pattern, "/")
	_ = filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil:
			return nil
		case d.IsDir() && !deep && path != base && strings.Count(path, "/") >= depth:
			return fs.SkipDir // deeper than the pattern reaches
		case !d.IsDir() && re.MatchString(path) && !add(path):
			return fs.SkipAll
		}
		return nil
	})
}
