package console

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/leatstream/leat/deploy/testbed"
)

// browser is one tab that remembers what pages complained about.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

func openBrowser(t *testing.T, base string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(testbed.Chromium(t)), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.WindowSize(1440, 1000), chromedp.Flag("hide-scrollbars", true))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &browser{t: t, ctx: ctx, base: base}
	done := make(chan struct{})
	messages := chromedp.Console(ctx)
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleWarning {
				b.mu.Lock()
				b.complaints = append(b.complaints, m.String()+" at "+m.URL)
				b.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // before the server: a tab keeps its stream open
		cancel()
		cancelAlloc()
		<-done
	})
	return b
}

func (b *browser) open(path string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(b.base+path)); err != nil {
		b.t.Fatalf("open %s: %v", path, err)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// is waits until an expression in the page is true.
func (b *browser) is(expression string) {
	b.t.Helper()
	eventually(b.t, expression, func() bool { return evaluate[bool](b, "!!("+expression+")") })
}

func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// firstPaint is how long after the navigation began there was something to see, in ms.
func (b *browser) firstPaint() float64 {
	b.t.Helper()
	entry := "performance.getEntriesByName('first-contentful-paint')"
	b.is(entry + ".length")
	return evaluate[float64](b, entry+"[0].startTime")
}

// quiet fails the test if a page complained.
func (b *browser) quiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("%s: %s", where, c)
	}
	b.complaints = nil
}

// shot keeps a picture of the page where -shots asks for it.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := flag.Lookup("shots").Value.String()
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// One demo serves the tests that need all of it.
func TestDemo(t *testing.T) {
	t.Parallel()
	base, c := startDemo(t, 500)
	eventually(t, "results and files", func() bool {
		snap := c.now()
		return len(snap.files) > 0 && snap.recent[topicKey("activity-per-minute")] > 0 && snap.recent[topicKey("host-averages")] > 0
	})
	began, ended := breakDemo(t, c)
	t.Run("windows", func(t *testing.T) { windowsOfDemo(t, c, began, ended) })
	t.Run("links", func(t *testing.T) { everyLinkLeadsSomewhere(t, c) })
	t.Run("api", func(t *testing.T) { apiOfDemo(t, c) })
	t.Run("preview", func(t *testing.T) { previewOfDemo(t, c) })
	t.Run("browser", func(t *testing.T) { browseDemo(t, base, c) })
}

// browseDemo opens every page in a browser: none complains, and all live.
func browseDemo(t *testing.T, base string, c *Console) {
	t.Parallel()
	testbed.Require(t, "chromium")
	b := openBrowser(t, base)
	b.open("/")
	for _, series := range []string{seriesRecords, seriesBytes, seriesLag} {
		chart := fmt.Sprintf(`document.querySelector('[data-chart="%s"]')`, series)
		b.is(chart + ".querySelector('canvas')")
		before := evaluate[int](b, "Number("+chart+".dataset.points)")
		b.is(fmt.Sprintf("Number(%s.dataset.points) > %d", chart, before+1))
	}
	b.is(`document.querySelector("[data-health]").classList.contains("ok")`)
	text := `document.querySelector('[data-live="total/activity"]').textContent`
	before := evaluate[string](b, text)
	b.is(text + " !== " + fmt.Sprintf("%q", before))
	b.quiet("overview")
	b.shot("overview")
	file := (&url.URL{Path: "/files/" + c.now().files[0].Path}).String()
	for name, path := range map[string]string{
		"topics": "/topics", "topic": "/topics/activity", "partitions": "/topics/activity?tab=partitions", "consumers": "/topics/activity?tab=consumers",
		"configs": "/topics/activity?tab=configs", "groups": "/groups", "group": "/groups/activity-per-minute", "pipelines": "/pipelines",
		"pipeline": "/pipelines/activity-per-minute", "trending": "/pipelines/trending-searches", "edit": "/pipelines/trending-searches?edit=true", "trial": "/trial", "connectors": "/connectors", "files": "/files", "file": file,
	} {
		b.open(path)
		b.is(`document.querySelector("main").textContent.trim().length > 100`)
		b.is(`document.querySelectorAll("[data-chart]").length === document.querySelectorAll("[data-chart] canvas").length`)
		if overflow := evaluate[int](b, "document.documentElement.scrollWidth - innerWidth"); overflow > 0 {
			t.Errorf("%s is %d pixels too wide", path, overflow)
		}
		b.quiet(path)
		b.shot(name)
	}
	b.open("/pipelines/trending-searches?edit=true")
	b.is(`document.querySelector(".clean")`)
	b.do(chromedp.SendKeys("textarea", "broken: [\n"))
	b.is(`document.querySelector("#preview [data-goto]") && document.querySelector(".gutter .error")`)
	b.quiet("editor")
	b.shot("problems")
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
		})
		return err
	}))
	b.open("/")
	b.is(`document.querySelectorAll("[data-chart] canvas").length === 3`)
	if background := evaluate[string](b, "getComputedStyle(document.documentElement).backgroundColor"); background != "rgb(14, 19, 23)" {
		t.Errorf("in the dark, the background is %s", background)
	}
	b.quiet("dark overview")
	b.shot("dark")
}

// Typing filters a table and the URL holds it; the tail shows matching records
// only, and pausing stops it.
func TestBrowserFilterAndTail(t *testing.T) {
	t.Parallel()
	testbed.Require(t, "chromium")
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 10)
	fill(t, adm, cl, "payments", 1, 1)
	eventually(t, "two topics", func() bool { return c.now().cluster.Topics == 2 })
	b := openBrowser(t, serve(t, c))
	b.open("/topics")
	b.do(chromedp.SendKeys("input.filter", "pay"))
	b.is(`document.querySelectorAll("#list tbody tr").length === 1 && document.querySelector("#list tbody").textContent.includes("payments")`)
	b.is(`location.search === "?q=pay"`)
	b.is(`document.querySelector("input.filter").value === "pay"`)

	b.open("/tail?topic=orders&where=" + url.QueryEscape(`value.city == "Paris"`))
	b.is(`document.querySelector("[data-tail-state]").textContent === "following"`)
	rows := `document.querySelectorAll("[data-tail-rows] tr").length`
	eventually(t, "rows", func() bool {
		fill(t, adm, cl, "orders", 3, 30)
		return evaluate[int](b, rows) >= 30
	})
	values := evaluate[string](b, `[...document.querySelectorAll("[data-tail-rows] td.value")].map((td) => td.textContent).join("\n")`)
	for line := range strings.Lines(values) {
		if !strings.Contains(line, "Paris") {
			t.Errorf("the tail shows %s", line)
		}
	}
	b.shot("tail")
	b.do(chromedp.Click("[data-pause]"))
	b.is(`document.querySelector("[data-tail-state]").textContent === "paused"`)
	eventually(t, "the consumer of the tail has stopped", func() bool { return len(c.streams) == 0 })
	still := evaluate[int](b, rows)
	fill(t, adm, cl, "orders", 3, 30)
	if now := evaluate[int](b, rows); now != still {
		t.Errorf("%d rows became %d in the pause", still, now)
	}
	b.open("/tail?topic=orders&where=" + url.QueryEscape("value.city =="))
	b.is(`document.querySelector(".problem")`)
	b.quiet("filter and tail")
}

// A line of the table of messages opens to the whole record, in colours; one that
// is gone meanwhile says so.
func TestBrowserOpensRecords(t *testing.T) {
	t.Parallel()
	testbed.Require(t, "chromium")
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 1, 3)
	b := openBrowser(t, serve(t, c))
	b.open("/topics/orders")
	b.is(`CSS.highlights.get("name").size > 0`)
	before := evaluate[int](b, `CSS.highlights.get("name").size`)
	b.do(chromedp.Click(".messages summary"))
	b.is(`document.querySelector(".messages details pre")?.textContent.startsWith("{\n")`)
	b.is(fmt.Sprintf(`CSS.highlights.get("name").size > %d`, before))
	b.shot("record-line")
	b.open("/topics/orders/0/1")
	b.is(`document.querySelector("#record pre").textContent.startsWith("{\n")`)
	b.shot("record")
	b.open("/topics/orders")
	b.quiet("record")
	end := kadm.Offsets{}
	end.AddOffset("orders", 0, 3, -1)
	if _, err := adm.DeleteRecords(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Click(".messages summary"))
	b.is(`document.querySelector(".messages details").textContent.includes("not found")`) // and the browser notes the 404
}

// At 20,000 records/s a tab stays usable: it keeps 500 rows, no frame is lost
// for long, and memory stays small.
func TestBrowserUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	testbed.Require(t, "chromium")
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 1)
	b := openBrowser(t, serve(t, c))
	stop := offer(t, cl, 20_000)
	defer stop()
	for _, path := range []string{"/", "/topics", "/topics/orders"} {
		b.open(path)
		t.Logf("%s: first paint after %.0f ms (budget: 100)", path, b.firstPaint())
	}
	b.open("/tail?topic=orders")
	b.is(`document.querySelectorAll("[data-tail-rows] tr").length > 100`)
	b.do(chromedp.Steps()) // the page is at work
	script := `(() => { window.__long = 0; new PerformanceObserver((l) => { window.__long += l.getEntries().length; }).observe({ entryTypes: ["longtask"] }); return true; })()`
	evaluate[bool](b, script)
	b.is(`document.querySelectorAll("[data-tail-rows] tr").length === 500`)
	// The tail sends ten events a second: forty are four seconds.
	evaluate[bool](b, `(() => { window.__events = 0; new MutationObserver(() => { window.__events++; }).observe(document.querySelector("[data-tail-rows]"), { childList: true }); return true; })()`)
	b.is("window.__events >= 40")
	rate := evaluate[string](b, `document.querySelector("[data-tail-seen]").textContent`)
	heap := evaluate[float64](b, "performance.memory ? performance.memory.usedJSHeapSize : 0")
	t.Logf("at %s read/s: %d long tasks over 40 events, heap %.1f MB", rate, evaluate[int](b, "window.__long"), heap/1e6)
	if n := evaluate[int](b, `document.querySelectorAll("[data-tail-rows] tr").length`); n != 500 {
		t.Errorf("%d rows are kept", n)
	}
	if heap > 50e6 {
		t.Errorf("the tab holds %.0f MB", heap/1e6)
	}
	b.quiet("tail under load")
	b.shot("load")
}

// A page says when the console has gone, and finds it again; a part that
// cannot be refreshed stays, and the page says that too.
func TestBrowserFindsTheConsoleAgain(t *testing.T) {
	t.Parallel()
	testbed.Require(t, "chromium")
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 1, 5)
	const group = "a/b <i>&"
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 5, -1)
	if _, err := adm.CommitOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	first := &http.Server{Handler: c}
	go func() { _ = first.Serve(l) }()
	t.Cleanup(func() { _ = first.Close() })
	b := openBrowser(t, "http://"+l.Addr().String())
	b.open("/")
	health := `document.querySelector("[data-health]")`
	b.is(health + `.classList.contains("ok")`)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	b.is(health + `.textContent.includes("does not answer")`)
	again, err := net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second := &http.Server{Handler: c}
	go func() { _ = second.Serve(again) }()
	t.Cleanup(func() { _ = second.Close() })
	b.is(health + `.classList.contains("ok")`)

	b.open("/groups/" + url.PathEscape(group))
	b.is(`document.querySelector("#facts") && document.querySelector("h1").textContent === ` + strconv.Quote(group))
	if _, err := adm.DeleteGroup(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	b.is(`document.querySelector(".stale") && document.querySelector("#facts")`)
}
