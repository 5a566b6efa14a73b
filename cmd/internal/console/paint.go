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

// shownText is bytes as text, cut to what a page shows.
func shownText(b []byte) string {
	cutOff := len(b) > maxShown
	if cutOff {
		b = b[:maxShown]
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

// pretty indents a text that is JSON, and leaves any other as it is.
func pretty(text string) string {
	var out bytes.Buffer
	if len(text) > 64<<10 || json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return out.String()
}

// paintJSON colours JSON: names, texts, numbers and words. Other text comes
// back as it is, escaped.
func paintJSON(text string) template.HTML {
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return template.HTML(html.EscapeString(text))
	}
	var w strings.Builder
	for i := 0; i < len(text); {
		end, class := jsonToken(text, i)
		paint(&w, class, text[i:end])
		i = end
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

// jsonToken finds the end of the token at i, and its colour.
func jsonToken(text string, i int) (end int, class string) {
	inside := func(from int, ok func(byte) bool) int {
		for from < len(text) && ok(text[from]) {
			from++
		}
		return from
	}
	switch c := text[i]; {
	case c == '"':
		end = closingQuote(text, i)
		if next := inside(end, func(c byte) bool { return c == ' ' }); next < len(text) && text[next] == ':' {
			return end, "name"
		}
		return end, "text"
	case c == '-' || c >= '0' && c <= '9':
		return inside(i+1, func(c byte) bool { return strings.IndexByte("0123456789.eE+-", c) >= 0 }), "number"
	case c >= 'a' && c <= 'z':
		return inside(i+1, func(c byte) bool { return c >= 'a' && c <= 'z' }), "word"
	}
	return inside(i+1, func(c byte) bool {
		return c != '"' && c != '-' && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z')
	}), ""
}

func closingQuote(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
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
