package console

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// update is set by -update and rewrites golden files.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; go test -update writes it anew:\n%s", path, got)
	}
}

func smallPicture(down bool) *Picture {
	p := &Picture{Down: down}
	for _, id := range []string{"source", "other", "views", "count", "results", "files"} {
		p.Boxes = append(p.Boxes, &Box{ID: id, Kind: "topic", Label: id, Note: "<note>", Live: "live/" + id, Href: "/topics/" + id})
	}
	for _, l := range [][2]string{{"source", "views"}, {"other", "views"}, {"views", "count"}, {"count", "results"}, {"results", "files"}, {"views", "files"}} {
		p.Lines = append(p.Lines, &Line{From: l[0], To: l[1], Kind: "flow", Rate: "1/s"})
	}
	return p
}

func TestPictureGolden(t *testing.T) {
	golden(t, "across.svg", string(smallPicture(false).svg("Flow")))
	golden(t, "down.svg", string(smallPicture(true).svg("Flow")))
	golden(t, "empty.svg", string((&Picture{}).svg("Nothing")))
}

// Whatever the graph: no two boxes overlap, all lie within the picture, and
// only edges of a cycle lead backwards.
func TestLayoutHoldsTogether(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := &Picture{Down: rapid.Bool().Draw(r, "down")}
		n := rapid.IntRange(0, 20).Draw(r, "boxes")
		for i := range n {
			p.Boxes = append(p.Boxes, &Box{ID: fmt.Sprint(i), Label: "x"})
		}
		acyclic := rapid.Bool().Draw(r, "acyclic")
		for range rapid.IntRange(0, 40).Draw(r, "lines") {
			from, to := rapid.IntRange(0, 20).Draw(r, "from"), rapid.IntRange(0, 20).Draw(r, "to")
			if acyclic && from > to {
				from, to = to, from
			}
			p.Lines = append(p.Lines, &Line{From: fmt.Sprint(from), To: fmt.Sprint(to)})
		}
		width, height := p.layout()
		for i, a := range p.Boxes {
			if a.x < 0 || a.y < 0 || a.x+boxWidth > width+0.5 || a.y+boxHeight > height+0.5 {
				r.Fatalf("box %s at %.1f,%.1f is outside %.0f x %.0f", a.ID, a.x, a.y, width, height)
			}
			for _, b := range p.Boxes[i+1:] {
				if a.x < b.x+boxWidth-0.5 && b.x < a.x+boxWidth-0.5 && a.y < b.y+boxHeight-0.5 && b.y < a.y+boxHeight-0.5 {
					r.Fatalf("boxes %s and %s overlap", a.ID, b.ID)
				}
			}
		}
		for _, l := range p.Lines {
			if acyclic && l.path[0].layer >= l.path[len(l.path)-1].layer {
				r.Fatalf("%s → %s leads back", l.From, l.To)
			}
		}
	})
}
