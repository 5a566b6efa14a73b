package robust

import (
	"errors"
	"strings"
	"testing"
)

// The checker sees each kind of fault that it is there for.
func TestCheckFindsFaults(t *testing.T) {
	h := NewHistory()
	for n := range 4 {
		h.Send("a")
		h.Done("a", n, nil)
	}
	h.Done("a", h.Send("a"), errors.New("timeout"))
	good := []Entry{{0, "a", 0}, {1, "a", 1}, {2, "a", 2}, {3, "a", 3}}
	for name, c := range map[string]struct {
		log  []Entry
		want string
	}{
		"all is well":                  {good, ""},
		"the refused one may be there": {append(good[:4:4], Entry{4, "a", 4}), ""},
		"lost":                         {good[:3], "record 3 of a was acknowledged and is lost"},
		"twice":                        {append(good[:4:4], Entry{4, "a", 3}), "is there 2 times"},
		"out of order":                 {[]Entry{{0, "a", 0}, {1, "a", 2}, {2, "a", 1}, {3, "a", 3}}, "record 1 of a follows 2"},
		"invented":                     {append(good[:4:4], Entry{4, "a", 9}), "a sent no record 9"},
		"by nobody":                    {append(good[:4:4], Entry{4, "b", 0}), "b sent no record 0"},
		"offsets go back":              {[]Entry{{0, "a", 0}, {0, "a", 1}, {2, "a", 2}, {3, "a", 3}}, "offset 0 follows 0"},
	} {
		got := strings.Join(h.Check([][]Entry{c.log}), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	h.Problem("went wrong")
	if got := h.Check([][]Entry{good}); len(got) != 1 || got[0] != "went wrong" {
		t.Errorf("problems: %q", got)
	}
}
