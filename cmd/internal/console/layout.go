package console

import (
	"cmp"
	"math"
	"slices"
)

// Box is a node of a picture.
type Box struct {
	ID    string
	Kind  string // class of the style sheet: connector, topic, pipeline, group, files, store, step …
	Label string
	Note  string // small second line
	Live  string // key of the event stream that replaces Note; may be empty
	Href  string
	layer int
	order float64
	x, y  float64 // of the upper left corner
}

// Line is an edge of a picture, in the direction of the data.
type Line struct {
	From, To string
	Kind     string // flow, state
	Rate     string // text at the edge
	Live     string // key of the event stream that replaces Rate
	path     []*Box // from, the bends, to
}

// Picture is a directed graph. Edges of a cycle are drawn, and do not count
// for the layers. Layers run from left to right, or downwards.
type Picture struct {
	Boxes []*Box
	Lines []*Line
	Down  bool
}

// Sizes of the drawing, in pixels.
const (
	boxWidth  = 196.0
	boxHeight = 46.0
	bendSize  = 10.0
	gapAlong  = 84.0 // between layers, room for the rates
	gapAcross = 16.0
	margin    = 8.0
)

// maxBoxes bounds a picture: more than that nobody can read.
const maxBoxes = 120

// layout places all boxes: layers by the longest path, bends where an edge
// crosses layers, the order within a layer by the mean of the neighbours.
func (p *Picture) layout() (width, height float64) {
	byID := p.index()
	p.layers(byID)
	layers := p.bend(byID)
	for range 4 {
		for i := 1; i < len(layers); i++ {
			p.sortLayer(layers[i], true)
		}
		for i := len(layers) - 2; i >= 0; i-- {
			p.sortLayer(layers[i], false)
		}
	}
	return p.place(layers)
}

// index finds boxes by id and drops lines that lead nowhere, to themselves, or
// twice the same way.
func (p *Picture) index() map[string]*Box {
	if len(p.Boxes) > maxBoxes {
		p.Boxes = p.Boxes[:maxBoxes]
	}
	byID := map[string]*Box{}
	for _, b := range p.Boxes {
		byID[b.ID] = b
	}
	seen := map[[2]string]bool{}
	p.Lines = slices.DeleteFunc(p.Lines, func(l *Line) bool {
		key := [2]string{l.From, l.To}
		drop := byID[l.From] == nil || byID[l.To] == nil || l.From == l.To || seen[key]
		seen[key] = true
		return drop
	})
	return byID
}

// layers gives each box the length of the longest way to it. Boxes that only
// lead somewhere move next to what they lead to.
func (p *Picture) layers(byID map[string]*Box) {
	out := map[string][]*Line{}
	for _, l := range p.Lines {
		out[l.From] = append(out[l.From], l)
	}
	state := map[string]int{} // 1: on the way, 2: done
	var order []*Box          // in reverse topological order
	back := map[*Line]bool{}
	var visit func(b *Box)
	visit = func(b *Box) {
		state[b.ID] = 1
		for _, l := range out[b.ID] {
			switch state[l.To] {
			case 0:
				visit(byID[l.To])
			case 1:
				back[l] = true
			}
		}
		state[b.ID] = 2
		order = append(order, b)
	}
	for _, b := range p.Boxes {
		if state[b.ID] == 0 {
			visit(b)
		}
	}
	slices.Reverse(order)
	fed := map[string]bool{}
	for _, b := range order {
		for _, l := range out[b.ID] {
			if !back[l] {
				to := byID[l.To]
				to.layer = max(to.layer, b.layer+1)
				fed[to.ID] = true
			}
		}
	}
	for _, b := range order {
		nearest := maxBoxes
		for _, l := range out[b.ID] {
			if !back[l] {
				nearest = min(nearest, byID[l.To].layer)
			}
		}
		if !fed[b.ID] && nearest < maxBoxes {
			b.layer = nearest - 1
		}
	}
}

// bend sets the path of each line and returns the layers, bends included.
func (p *Picture) bend(byID map[string]*Box) [][]*Box {
	var layers [][]*Box
	add := func(b *Box) {
		for len(layers) <= b.layer {
			layers = append(layers, nil)
		}
		b.order = float64(len(layers[b.layer]))
		layers[b.layer] = append(layers[b.layer], b)
	}
	for _, b := range p.Boxes {
		add(b)
	}
	for _, l := range p.Lines {
		from, to := byID[l.From], byID[l.To]
		l.path = []*Box{from}
		for layer := from.layer + 1; layer < to.layer; layer++ {
			bend := &Box{layer: layer}
			add(bend)
			l.path = append(l.path, bend)
		}
		l.path = append(l.path, to)
	}
	return layers
}

// sortLayer orders a layer by the mean order of its neighbours before or after
// it.
func (p *Picture) sortLayer(layer []*Box, before bool) {
	sum, n := map[*Box]float64{}, map[*Box]float64{}
	for _, l := range p.Lines {
		for i := 1; i < len(l.path); i++ {
			from, to := l.path[i-1], l.path[i]
			if !before {
				from, to = to, from
			}
			sum[to] += from.order
			n[to]++
		}
	}
	mean := func(b *Box) float64 {
		if n[b] == 0 {
			return b.order
		}
		return sum[b] / n[b]
	}
	slices.SortStableFunc(layer, func(a, b *Box) int { return cmp.Compare(mean(a), mean(b)) })
	for i, b := range layer {
		b.order = float64(i)
	}
}

func (b *Box) isBend() bool { return b.ID == "" }

// size is along the direction of the layers, and across it.
func (p *Picture) size(b *Box) (along, across float64) {
	switch {
	case b.isBend() && p.Down:
		return boxHeight, bendSize
	case b.isBend():
		return boxWidth, bendSize
	case p.Down:
		return boxHeight, boxWidth
	}
	return boxWidth, boxHeight
}

// place centres the layers on each other, then moves every box as near to its
// neighbours as the order and the gaps allow.
func (p *Picture) place(layers [][]*Box) (width, height float64) {
	along, gap := boxWidth, gapAlong
	if p.Down {
		along, gap = boxHeight, gapAlong/2
	}
	pos := map[*Box]float64{} // of the centre, across
	for _, layer := range layers {
		at := 0.0
		for _, b := range layer {
			_, size := p.size(b)
			pos[b] = at + size/2
			at += size + gapAcross
		}
		for _, b := range layer {
			pos[b] -= (at - gapAcross) / 2
		}
	}
	p.straighten(layers, pos)
	low, high := math.Inf(1), math.Inf(-1)
	for b, at := range pos {
		_, size := p.size(b)
		low, high = min(low, at-size/2), max(high, at+size/2)
	}
	if len(pos) == 0 {
		low, high = 0, 0
	}
	for i, layer := range layers {
		for _, b := range layer {
			_, size := p.size(b)
			b.x, b.y = margin+float64(i)*(along+gap), margin+pos[b]-size/2-low
			if p.Down {
				b.x, b.y = b.y, b.x
			}
		}
	}
	width, height = 2*margin+float64(len(layers))*(along+gap)-gap, 2*margin+high-low
	if p.Down {
		width, height = height, width
	}
	return max(width, 2*margin), height
}

// sweeps is how often the layers are straightened, back and forth.
const sweeps = 8

// straighten moves boxes towards the mean of those that follow, from the last
// layer to the first, then towards those before, and so on; never out of their
// order. Looking one way at a time keeps chains straight.
func (p *Picture) straighten(layers [][]*Box, pos map[*Box]float64) {
	before, after := map[*Box][]*Box{}, map[*Box][]*Box{}
	for _, l := range p.Lines {
		for i := 1; i < len(l.path); i++ {
			a, b := l.path[i-1], l.path[i]
			before[b], after[a] = append(before[b], a), append(after[a], b)
		}
	}
	for range sweeps {
		for _, layer := range slices.Backward(layers) {
			p.straightenLayer(layer, after, pos)
		}
		for _, layer := range layers {
			p.straightenLayer(layer, before, pos)
		}
	}
}

func (p *Picture) straightenLayer(layer []*Box, near map[*Box][]*Box, pos map[*Box]float64) {
	wanted := make([]float64, len(layer))
	for i, b := range layer {
		wanted[i] = pos[b]
		if n := len(near[b]); n > 0 {
			wanted[i] = 0
			for _, other := range near[b] {
				wanted[i] += pos[other] / float64(n)
			}
		}
	}
	p.spread(layer, wanted, pos)
}

// spread finds places near the wanted ones: once from the first box on, once
// from the last back, and the mean of both, which keeps all gaps.
func (p *Picture) spread(layer []*Box, wanted []float64, pos map[*Box]float64) {
	n := len(layer)
	forth, back := slices.Clone(wanted), slices.Clone(wanted)
	apart := func(a, b *Box) float64 {
		_, x := p.size(a)
		_, y := p.size(b)
		return (x+y)/2 + gapAcross
	}
	for i := 1; i < n; i++ {
		forth[i] = max(forth[i], forth[i-1]+apart(layer[i-1], layer[i]))
	}
	for i := n - 2; i >= 0; i-- {
		back[i] = min(back[i], back[i+1]-apart(layer[i], layer[i+1]))
	}
	for i, b := range layer {
		pos[b] = (forth[i] + back[i]) / 2
	}
}
