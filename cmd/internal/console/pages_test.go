package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/leatstream/leat/cmd/internal/admin"
)

// element is what a test wants to know of a page.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

func elements(t *testing.T, body string) []element {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var out []element
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		e := element{name: n.Data, attrs: map[string]string{}}
		for _, a := range n.Attr {
			e.attrs[a.Key] = a.Val
		}
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				e.text += d.Data
			}
		}
		out = append(out, e)
	}
	return out
}

// checkPage holds what is true of every page, and returns its links.
func checkPage(t *testing.T, path, body string) (links []string) {
	t.Helper()
	found := map[string]int{}
	for _, e := range elements(t, body) {
		found[e.name]++
		if e.name == "script" && (e.attrs["src"] == "" || e.text != "") {
			t.Errorf("%s: a script in the page", path)
		}
		if e.name == "style" || e.attrs["style"] != "" {
			t.Errorf("%s: style in the page, in <%s>", path, e.name)
		}
		for name, value := range e.attrs {
			if strings.HasPrefix(name, "on") {
				t.Errorf("%s: %s=%s is script in the page", path, name, value)
			}
			if name == "href" || name == "src" || name == "hx-get" || name == "data-tail" {
				if !strings.HasPrefix(value, "/") {
					t.Errorf("%s: %s=%s leads away", path, name, value)
				}
				links = append(links, value)
			}
		}
		if e.attrs["id"] == "cli" && !strings.ContainsAny(e.text, " ") {
			t.Errorf("%s: the command line %q", path, e.text)
		}
	}
	if found["h1"] != 1 || found["main"] != 1 || found["form"] > 1 && path != "/trial" {
		t.Errorf("%s: %v", path, found)
	}
	return links
}

// everyLinkLeadsSomewhere asks for every page and answer that can be reached
// by links.
func everyLinkLeadsSomewhere(t *testing.T, c *Console) {
	seen, kinds, queue := map[string]bool{"/": true}, map[string]int{}, []string{"/"}
	pages := 0
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if strings.HasPrefix(path, "/api/v1/tail") {
			continue // does not end
		}
		w := get(t, c, path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %.200s", path, w.Code, w.Body)
			continue
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		pages++
		for _, link := range checkPage(t, path, w.Body.String()) {
			if kind := linkKind(link); !seen[link] && kinds[kind] < 3 {
				seen[link] = true
				kinds[kind]++
				queue = append(queue, link)
			}
		}
	}
	if pages < 20 {
		t.Errorf("only %d pages", pages)
	}
}

// linkKind is what links of the same handler have in common: of each, a few
// stand for all.
func linkKind(link string) string {
	path, query, _ := strings.Cut(link, "?")
	parts := strings.Split(path, "/")
	name, _, _ := strings.Cut(query, "=")
	if name == "tab" || name == "sort" {
		name = query
	}
	return fmt.Sprint(parts[1], len(parts), parts[len(parts)-1] == "records", strings.Contains(path, "/api/v1/"), name)
}

func TestPagesSayWhatIsThere(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 100)
	eventually(t, "the topic", func() bool {
		return c.now().cluster.Topics == 1 && len(c.now().topics) > 0 && c.now().topics[0].Records == 100
	})
	for path, want := range map[string][]string{
		"/":       {"Healthy — 1 broker, 1 topic, nothing under-replicated", "100 records", "Controller"},
		"/topics": {"orders", "leat topic list -b "},
		"/topics/orders?where=" + "value.city+%3D%3D+%22Oslo%22": {"Oslo", `--where 'value.city == "Oslo"'`, "30 records shown, 100 records read"},
		"/topics/orders?where=value.city+%3D%3D":                 {"unexpected token"},
		"/topics/orders?tab=partitions":                          {"End offset", "In sync"},
		"/topics/orders?tab=configs":                             {"cleanup.policy", "default"},
		"/topics/orders?tab=consumers":                           {"No group has committed offsets"},
		"/topics?q=nothing":                                      {"No topic has “nothing” in its name."},
		"/groups":                                                {"There are no consumer groups yet."},
		"/tail?topic=orders":                                     {"/api/v1/tail?topic=orders", "leat topic tail orders"},
		"/files":                                                 {"No file is finished yet."},
		"/topics/%3Cscript%3E":                                   {"&lt;script&gt;"},
	} {
		body := get(t, c, path).Body.String()
		checkPage(t, path, body)
		text := ""
		for _, e := range elements(t, body) {
			if e.name == "body" {
				text = e.text + e.attrs["data-series"] + body
			}
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q", path, w)
			}
		}
		if strings.Contains(body, "Paris") && strings.Contains(path, "Oslo") {
			t.Errorf("%s shows others", path)
		}
	}
}

// largeCluster is a console over 40,000 topics and 15,000 groups that are in
// its memory only.
func largeCluster(tb testing.TB) *Console {
	c, err := New(Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.client.Close)
	snap := &snapshot{at: time.Now(), recent: rates{}, live: map[string]string{}}
	for i := range 40_000 {
		snap.topics = append(snap.topics, admin.Topic{Name: fmt.Sprintf("topic-%05d", i), Partitions: 1, Records: int64(i)})
		snap.recent[topicKey(snap.topics[i].Name)] = float64(i % 100)
	}
	for i := range 15_000 {
		lag := int64(i)
		snap.groups = append(snap.groups, admin.Group{Group: fmt.Sprintf("group-%05d", i), State: "Stable", Lag: &lag})
	}
	c.sampler.publish(snap)
	return c
}

// However large the cluster, a page has one screenful, asks no broker, and
// stays small; so does the picture.
func TestLargeClusterMakesSmallPages(t *testing.T) {
	c := largeCluster(t)
	for _, path := range []string{"/", "/topics", "/topics?q=99&sort=-records", "/groups", "/groups?sort=-lag&cursor=14900", "/tail"} {
		body := get(t, c, path).Body.String()
		rows, boxes := 0, strings.Count(body, "class=\"box ")
		for _, e := range elements(t, body) {
			if e.name == "tr" || e.name == "option" {
				rows++
			}
		}
		if rows > pageLimit+1 || boxes > maxBoxes || len(body) > 256<<10 {
			t.Errorf("%s: %d rows, %d boxes, %d bytes", path, rows, boxes, len(body))
		}
	}
}

// Lists of large clusters are made from memory.
func BenchmarkLargeLists(b *testing.B) {
	c := largeCluster(b)
	for _, path := range []string{"/topics", "/topics?q=99&sort=-records", "/groups", "/groups?sort=-lag", "/api/v1/groups?limit=100"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &discard{header: http.Header{}}
				r, _ := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
				c.ServeHTTP(w, r)
				if w.status >= 400 {
					b.Fatal(w.status)
				}
			}
		})
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
