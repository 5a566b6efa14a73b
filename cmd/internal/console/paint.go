package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"strings"
	"unicode/utf8"
)

// cutText is bytes as text of at most so many bytes.
func cutText(b []byte, most int) string {
	cutOff := len(b) > most
	if cutOff {
		b = b[:most]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
	}
	text := strings.ToValidUTF8(string(b), "\uFFFD")
	if cutOff {
		text += "…"
	}
	return text
}

// shownText is bytes as text, cut to what a page shows.
func shownText(b []byte) string { return cutText(b, maxShown) }

// pretty indents a text that is JSON, and leaves any other as it is.
func pretty(text string) string {
	var out bytes.Buffer
	if len(text) > 64<<10 || json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return out.String()
}

// paintYAML colours comments and the names of keys, line by line.
func paintYAML(text string) template.HTML {
	var w strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " -")
		indent := line[:len(line)-len(body)]
		name, rest, ok := strings.Cut(body, ":")
		switch {
		case strings.HasPrefix(body, "#"):
			paint(&w, "", indent)
			paint(&w, "comment", body)
		case ok && !strings.ContainsAny(name, "\"'{[ ") && (rest == "" || rest[0] == ' ' || rest[0] == '\n'):
			paint(&w, "", indent)
			paint(&w, "name", name)
			paint(&w, "", ":"+rest)
		default:
			paint(&w, "", line)
		}
	}
	return template.HTML(w.String())
}

func paint(w *strings.Builder, class, text string) {
	if class == "" {
		w.WriteString(html.EscapeString(text))
		return
	}
	fmt.Fprintf(w, `<span class="%s">%s</span>`, class, html.EscapeString(text))
}
