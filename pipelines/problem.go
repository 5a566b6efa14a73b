package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid is wrapped by the error of a document with problems.
var ErrInvalid = errors.New("invalid pipeline")

// Severity ranks problems.
type Severity string

// A document with an Error does not run; a Warning is legal but likely not
// meant.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`   // from 1
	Column   int      `json:"column"` // from 1
	Message  string   `json:"message"`
	Fix      string   `json:"fix,omitempty"` // what would mend it
}

// String is CODE file:line:column message → fix.
func (p Problem) String() string {
	s := fmt.Sprintf("%s %s:%d:%d %s", p.Code, p.File, p.Line, p.Column, p.Message)
	if p.Fix != "" {
		s += " → " + p.Fix
	}
	return s
}

// Problems are the problems of one document in order of position.
type Problems []Problem

// Err is nil if there is no problem of severity Error.
func (ps Problems) Err() error {
	var lines []string
	for _, p := range ps {
		if p.Severity == Error {
			lines = append(lines, p.String())
		}
	}
	if lines == nil {
		return nil
	}
	return fmt.Errorf("%w:\n  %s", ErrInvalid, strings.Join(lines, "\n  "))
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// pos is a place in a document.
type pos struct{ line, col int }

// report collects the problems of one document.
type report struct {
	file string
	list Problems
	refs *interpolator // resolves references in scalars; nil leaves them alone
}

func (r *report) add(at pos, severity Severity, code, fix, format string, args ...any) {
	r.list = append(r.list, Problem{Code: code, Severity: severity, File: r.file, Line: at.line, Column: at.col,
		Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (r *report) errorf(at pos, code, fix, format string, args ...any) {
	r.add(at, Error, code, fix, format, args...)
}

func (r *report) warnf(at pos, code, fix, format string, args ...any) {
	r.add(at, Warning, code, fix, format, args...)
}

// nearest is the candidate most like name, or "" if none is near.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// didYouMean is the mend of a wrong name.
func didYouMean(name string, candidates []string) string {
	if c := nearest(name, candidates); c != "" {
		return fmt.Sprintf("did you mean %s?", c)
	}
	slices.Sort(candidates)
	if len(candidates) == 0 || len(candidates) > 20 {
		return ""
	}
	return "one of: " + strings.Join(candidates, ", ")
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b.
func distance(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
