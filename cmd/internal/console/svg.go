package console

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// labelRoom is the width of a box that its label may take, in pixels.
const labelRoom = boxWidth - 28

// fit cuts a label to the room in a box. The widths are those of a wide font,
// so that it fits in any.
func fit(label string) string {
	room, runes := labelRoom, []rune(label)
	for i, r := range runes {
		switch {
		case strings.ContainsRune("fijlrt.,:;'|!-()[] ", r):
			room -= 5.2
		case r > 127 || strings.ContainsRune("mwMW@%", r):
			room -= 12.5
		default:
			room -= 8.2
		}
		if room < 0 {
			return shorten(label, max(2, i))
		}
	}
	return label
}

// svg draws the picture. Its text is escaped here; colours are classes.
func (p *Picture) svg(title string) template.HTML {
	width, height := p.layout()
	var w strings.Builder
	fmt.Fprintf(&w, `<svg class="picture" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(title))
	w.WriteString(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">` +
		`<path d="M0,0.5 L7.5,4 L0,7.5 z"/></marker></defs>` + "\n")
	for _, l := range p.Lines {
		p.drawLine(&w, l)
	}
	for _, l := range p.Lines {
		p.drawRate(&w, l)
	}
	for _, b := range p.Boxes {
		b.draw(&w)
	}
	w.WriteString("</svg>\n")
	return template.HTML(w.String())
}

// ends are the points where a line enters and leaves a box or bend.
func (p *Picture) ends(b *Box) (inX, inY, outX, outY float64) {
	w, h := boxWidth, boxHeight
	switch {
	case b.isBend() && p.Down:
		w = bendSize
	case b.isBend():
		h = bendSize
	}
	if p.Down {
		return b.x + w/2, b.y, b.x + w/2, b.y + h
	}
	return b.x, b.y + h/2, b.x + w, b.y + h/2
}

func (p *Picture) drawLine(w *strings.Builder, l *Line) {
	fmt.Fprintf(w, `<path class="edge %s" marker-end="url(#arrow)" d="`, html.EscapeString(l.Kind))
	for i := 1; i < len(l.path); i++ {
		_, _, x1, y1 := p.ends(l.path[i-1])
		x2, y2, _, _ := p.ends(l.path[i])
		if i == 1 {
			fmt.Fprintf(w, "M%.0f,%.0f", x1, y1)
		} else {
			fmt.Fprintf(w, " L%.0f,%.0f", x1, y1)
		}
		if p.Down {
			mid := (y1 + y2) / 2
			fmt.Fprintf(w, " C%.0f,%.0f %.0f,%.0f %.0f,%.0f", x1, mid, x2, mid, x2, y2)
			continue
		}
		mid := (x1 + x2) / 2
		fmt.Fprintf(w, " C%.0f,%.0f %.0f,%.0f %.0f,%.0f", mid, y1, mid, y2, x2, y2)
	}
	w.WriteString("\"/>\n")
}

// drawRate writes the rate before the box that the line leads to, or after the
// one it comes from: wherever fewer lines meet.
func (p *Picture) drawRate(w *strings.Builder, l *Line) {
	if l.Live == "" && l.Rate == "" {
		return
	}
	in, out := 0, 0
	for _, other := range p.Lines {
		if other.To == l.To {
			in++
		}
		if other.From == l.From {
			out++
		}
	}
	last := len(l.path) - 1
	x, y, _, _ := p.ends(l.path[last])
	_, _, _, other := p.ends(l.path[last-1])
	x, anchor := x-10, "end"
	if in > out {
		_, _, x, y = p.ends(l.path[0])
		_, other, _, _ = p.ends(l.path[1])
		x, anchor = x+6, "start"
	}
	y -= 6
	if !p.Down && other < y { // the line comes from above: below it is room
		y += 21
	}
	live := ""
	if l.Live != "" {
		live = fmt.Sprintf(` data-live="%s"`, html.EscapeString(l.Live))
	}
	fmt.Fprintf(w, `<text class="rate" x="%.0f" y="%.0f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, live, html.EscapeString(l.Rate))
}

func (b *Box) draw(w *strings.Builder) {
	open, end := "<g", "</g>"
	if b.Href != "" {
		open, end = fmt.Sprintf(`<a href="%s"`, html.EscapeString(b.Href)), "</a>"
	}
	fmt.Fprintf(w, `%s class="box %s"><title>%s</title><rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="9"/>`,
		open, html.EscapeString(b.Kind), html.EscapeString(b.Label), b.x, b.y, boxWidth, boxHeight)
	fmt.Fprintf(w, `<rect class="mark" x="%.0f" y="%.0f" width="4" height="%.0f" rx="2"/>`, b.x+7, b.y+9, boxHeight-18)
	fmt.Fprintf(w, `<text class="label" x="%.0f" y="%.0f">%s</text>`, b.x+20, b.y+20, html.EscapeString(fit(b.Label)))
	live := ""
	if b.Live != "" {
		live = fmt.Sprintf(` data-live="%s"`, html.EscapeString(b.Live))
	}
	fmt.Fprintf(w, `<text class="note" x="%.0f" y="%.0f"%s>%s</text>%s`+"\n", b.x+20, b.y+36, live, html.EscapeString(b.Note), end)
}
