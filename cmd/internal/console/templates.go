package console

import (
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"strings"
)

// parsePages makes one set of templates for each page: the layout, the shared
// parts and the page itself.
func parsePages(a *assets) (map[string]*template.Template, error) {
	files, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := template.New(name).Funcs(functions(a)).ParseFS(embedded, "templates/layout.html", "templates/parts.html", file)
		if err != nil {
			return nil, fmt.Errorf("console page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset": a.url, "integer": integer, "count": count, "bytes": byteSize, "perSecond": perSecond, "time": timeText,
		"escape": url.PathEscape, "join": strings.Join, "lower": strings.ToLower, "shorten": shorten,
		"pathURL": func(p string) string { return (&url.URL{Path: p}).String() },
		"int64":   func(n int) int64 { return int64(n) },
		"members": func(n *int) string { return integer(int64(known(n))) },
		"maybe":   func(n *int64) string { return integer(known(n)) },
		"text": func(s *string) string {
			if s == nil {
				return "–"
			}
			return *s
		},
		"state": stateClass,
		"nav":   func(active, name, href, label string) navLink { return navLink{active, name, href, label} },
		"head":  func(l list, column, label string, right bool) heading { return heading{l, column, label, right} },
	}
}

// heading is the head of a column that sorts its table.
type heading struct {
	list
	Column, Label string
	Right         bool
}

// navLink is a link of the navigation.
type navLink struct{ Active, Name, Href, Label string }

// stateClass colours the state of a group, pipeline or connector.
func stateClass(state string) healthLevel {
	switch strings.ToUpper(state) {
	case "STABLE", "RUNNING":
		return healthy
	case "DEAD", "FAILED", "ERROR":
		return broken
	case "EMPTY", "PAUSED", "STOPPED":
		return "idle"
	}
	return degraded
}
