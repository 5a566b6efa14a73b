package damage

import "slices"

// List are those of one segment, ascending by position and apart from each other. A list
// never changes.
type List []Range

// maxDamages bounds the marks of a segment; beyond it the last one grows.
const maxDamages = 1024

// At finds the damage that holds position pos.
func (d List) At(pos int64) (*Range, bool) {
	i := d.after(pos)
	if i == len(d) || d[i].Position > pos {
		return nil, false
	}
	return &d[i], true
}

// after is the place of the first damage that ends beyond pos.
func (d List) after(pos int64) int {
	lo, hi := 0, len(d)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); d[mid].End > pos {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// Clip gives how many of n bytes from pos on come before any damage.
func (d List) Clip(pos, n int64) int64 {
	if i := d.after(pos); i < len(d) {
		return max(0, min(n, d[i].Position-pos))
	}
	return n
}

// Lost tells whether offset is among the offsets of a damage.
func (d List) Lost(offset int64) bool {
	for i := range d {
		if d[i].First <= offset && offset < d[i].Next {
			return true
		}
	}
	return false
}

// With adds a damage, joining those that it touches.
func (d List) With(x Range) List {
	out := make(List, 0, len(d)+1)
	i := 0
	for ; i < len(d) && d[i].End < x.Position; i++ {
		out = append(out, d[i])
	}
	for ; i < len(d) && d[i].Position <= x.End; i++ {
		if d[i].Position <= x.Position {
			x.Err = d[i].Err
		}
		x.Position, x.End = min(x.Position, d[i].Position), max(x.End, d[i].End)
		x.First, x.Next = min(x.First, d[i].First), max(x.Next, d[i].Next)
	}
	out = append(append(out, x), d[i:]...)
	if len(out) > maxDamages {
		last := out[len(out)-1]
		out = out[:maxDamages]
		end := &out[maxDamages-1]
		end.End, end.Next = last.End, last.Next
	}
	return out
}

// Cut keeps what lies below size bytes.
func (d List) Cut(size int64) List {
	return slices.DeleteFunc(slices.Clone(d), func(x Range) bool { return x.End > size })
}
