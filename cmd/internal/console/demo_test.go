package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/cmd/internal/output"
)

func post(t *testing.T, h http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// apiOfDemo compares what changes all the time: the answers must encode as
// the types of the command line do, without a field more or less.
func apiOfDemo(t *testing.T, c *Console) {
	same[[]admin.Topic](t, c, "/api/v1/topics")
	same[admin.TopicDetail](t, c, "/api/v1/topics/activity")
	same[[]admin.Group](t, c, "/api/v1/groups")
	group := same[admin.GroupDetail](t, c, "/api/v1/groups/activity-per-minute")
	pipelines := same[[]admin.Pipeline](t, c, "/api/v1/pipelines")
	connectors := same[[]admin.Connector](t, c, "/api/v1/connectors")
	same[admin.PipelineDetail](t, c, "/api/v1/pipelines/trending-searches")
	same[[]admin.File](t, c, "/api/v1/files")
	if len(pipelines) != 4 || len(connectors) != 3 || len(group.Members) == 0 {
		t.Errorf("%d pipelines, %d connectors, %d members", len(pipelines), len(connectors), len(group.Members))
	}
}

// same decodes an answer strictly, encodes it as the command line does, and
// compares.
func same[T any](t *testing.T, c *Console, path string) (v T) {
	t.Helper()
	body := get(t, c, path).Body.Bytes()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var again bytes.Buffer
	if err := output.One(output.Printer{Format: output.JSON, Out: &again}, v); err != nil {
		t.Fatal(err)
	}
	if again.String() != string(body) {
		t.Errorf("%s: %s\nis %s on the command line", path, body, again.String())
	}
	return v
}

// previewOfDemo edits a document: it is tried on records of its sources, and
// problems name line and column.
func previewOfDemo(t *testing.T, c *Console) {
	detail := decode[admin.PipelineDetail](t, get(t, c, "/api/v1/pipelines/activity-per-minute"))
	try := func(document string) Preview {
		return decode[Preview](t, post(t, c, "/api/v1/pipelines/activity-per-minute/preview", url.Values{"document": {document}}))
	}
	p := try(detail.Document)
	var events, rows int
	for _, out := range p.Outputs {
		for _, r := range out.Records {
			var row struct{ Events int }
			if json.Unmarshal([]byte(r.Value), &row) == nil && out.Topic == "activity-per-minute" {
				events, rows = events+row.Events, rows+1
			}
		}
	}
	if len(p.Problems) > 0 || p.Error != "" || len(p.Inputs) != previewSample || events != previewSample || rows == 0 {
		t.Errorf("%d inputs, %d events in %d rows, %v %s", len(p.Inputs), events, rows, p.Problems, p.Error)
	}
	p = try(strings.Replace(detail.Document, "avg(value.ms)", "avg(value.mss)", 1))
	if len(p.Problems) != 1 || p.Problems[0].Line < 30 || p.Problems[0].Column < 2 || !strings.Contains(p.Problems[0].Fix, "ms") || len(p.Outputs) > 0 {
		t.Errorf("a typo: %+v", p)
	}
	if p = try("{{{"); len(p.Problems) == 0 {
		t.Error("no YAML, and no problem")
	}
	if w := post(t, c, "/api/v1/pipelines/activity-per-minute/preview", nil); w.Code != http.StatusBadRequest {
		t.Errorf("without a document: %d", w.Code)
	}
	body := post(t, c, "/pipelines/activity-per-minute?edit=true", url.Values{"document": {"# </textarea><script>alert(1)</script>\n" + detail.Document}}).Body.String()
	checkPage(t, "the editor", body)
	if !strings.Contains(body, "Would write") || strings.Contains(body, "<script>alert") {
		t.Errorf("the editor's page: %.500s", body)
	}
}

// trialOf asks for the trial and its windows.
func trialOf(t *testing.T, c *Console) Trial {
	t.Helper()
	return decode[Trial](t, get(t, c, "/api/v1/trial"))
}

// breakDemo breaks one thing after the other: all becomes well again.
func breakDemo(t *testing.T, c *Console) (began, ended time.Time) {
	if w := post(t, c, "/api/v1/trial/nothing", nil); w.Code != http.StatusNotFound {
		t.Errorf("an action that is none: %d", w.Code)
	}
	began = time.Now()
	for _, action := range []string{"stream", "broker"} {
		eventually(t, "the trial is ready", func() bool { return post(t, c, "/api/v1/trial/"+action, nil).Code == http.StatusNoContent })
		eventually(t, action, func() bool { s := trialOf(t, c).State; return !s.Busy && strings.Contains(s.Text, "well again") })
	}
	return began, time.Now()
}

// windowsOfDemo waits for the windows in which the demo was broken: each of
// them counts what came in.
func windowsOfDemo(t *testing.T, c *Console, began, ended time.Time) {
	t.Parallel()
	identical := map[time.Time]bool{}
	eventually(t, "windows that were broken count what came in", func() bool {
		past := false
		for _, w := range trialOf(t, c).Windows {
			if w.Start.Add(demoWindow).After(began) && w.Start.Before(ended) {
				identical[w.Start] = w.In == w.Counted
			}
			past = past || w.Start.After(ended)
		}
		for _, same := range identical {
			past = past && same
		}
		return past && len(identical) > 0
	})
}

// Records of all sorts are shown as text, and nothing in them becomes part of
// the page.
func TestOddRecords(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	const topic, attack = "odd._-Topic", `<img src=x onerror="alert(1)"><script>alert(2)</script>`
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("<b>"), 330_000)
	for _, r := range []*kgo.Record{
		{Key: []byte(attack), Value: []byte(attack), Headers: []kgo.RecordHeader{{Key: attack, Value: []byte(attack)}, {Key: "none"}}},
		{Value: []byte(`{"` + attack + `":"` + attack + `","n":[1,{}]}`)}, {}, {Key: []byte{}, Value: []byte{}},
		{Key: []byte{0xff, 0, 0xfe}, Value: []byte{0, 1, 2, 0xff, '<', 's', '>'}}, {Value: large}, {Value: []byte("not JSON & more")}, {Value: []byte(`{"open":`)},
	} {
		r.Topic = topic
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{"", "?where=" + url.QueryEscape("value.n != nil"), "?where=" + url.QueryEscape(attack), "?at=" + url.QueryEscape(attack), "?partition=" + url.QueryEscape(attack), "?tab=" + url.QueryEscape(attack)} {
		w := get(t, c, "/topics/"+topic+query)
		body := w.Body.String()
		checkPage(t, query, body)
		if w.Code != http.StatusOK || strings.Contains(body, "<img src=x") || strings.Contains(body, "<script>alert") || len(body) > 128<<10 {
			t.Errorf("%s: %d, %d bytes", query, w.Code, len(body))
		}
	}
	page := get(t, c, "/topics/"+topic).Body.String()
	for _, want := range []string{"null", "not JSON &amp; more", "base64", `{"open":`} {
		if !strings.Contains(page, want) && !strings.Contains(html2text(t, page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, path := range []string{"/tail?topic=" + url.QueryEscape(attack), "/topics/" + url.PathEscape(attack), "/groups/" + url.PathEscape(attack), "/pipelines/" + url.PathEscape(attack), "/files/" + url.PathEscape(attack), "/topics?q=" + url.QueryEscape(attack)} {
		if body := get(t, c, path).Body.String(); strings.Contains(body, "<img src=x") || strings.Contains(body, "<script>alert") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func html2text(t *testing.T, body string) string {
	for _, e := range elements(t, body) {
		if e.name == "main" {
			return e.text
		}
	}
	return ""
}

// At 20,000 records/s, the tail sends at most ten events a second of at most
// 100 rows, and says how many it left out; no record is forgotten in its
// counts. A topic that is deleted meanwhile is said to be gone.
func TestTailIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 1)
	response, err := http.Get(serve(t, c) + "/api/v1/tail?topic=orders")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewReaderSize(response.Body, 1<<20)
	next := func() (event tailEvent, size int) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: {\"rows\":"); ok {
				if err := json.Unmarshal([]byte(`{"rows":`+data), &event); err != nil {
					t.Fatal(err)
				}
				return event, len(line)
			}
		}
	}
	next()
	stop := offer(t, cl, 20_000)
	var seen, rows, skipped, largest int
	began, events := time.Now(), 0
	for ; events < 30; events++ {
		e, size := next()
		if len(e.Rows) > maxTailRows || e.Matched != len(e.Rows)+e.Skipped || e.Seen != e.Matched || size > 64<<10 {
			t.Fatalf("%d rows, %d seen, %d matched, %d skipped, %d bytes", len(e.Rows), e.Seen, e.Matched, e.Skipped, size)
		}
		seen, rows, skipped, largest = seen+e.Seen, rows+len(e.Rows), skipped+e.Skipped, max(largest, size)
	}
	stop()
	if most := int(time.Since(began)/tailInterval) + 2; events > most {
		t.Errorf("%d events where %d may be", events, most)
	}
	if skipped == 0 || rows > 30*maxTailRows {
		t.Errorf("%d rows, %d skipped", rows, skipped)
	}
	t.Logf("%d records in %d events over %s: %d rows, %d skipped, at most %d bytes an event", seen, events, time.Since(began).Round(time.Millisecond), rows, skipped, largest)
	if _, err := adm.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tail says that the topic has gone", func() bool {
		e, _ := next()
		return strings.Contains(e.Reason, "no topic orders")
	})
}

// Asking for what is not there leaves no trace.
func TestAskingCreatesNothing(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 1, 1)
	for _, path := range []string{"/topics/none", "/api/v1/topics/none", "/api/v1/topics/none/records", "/api/v1/topics/none/partitions", "/groups/none"} {
		if w := get(t, c, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	before := c.now().at
	eventually(t, "two more samples", func() bool { return c.now().at.After(before.Add(sampleInterval)) })
	if snap := c.now(); snap.cluster.Topics != 1 || len(topicRows(snap, view{}, true)) > 2 {
		t.Errorf("%d topics: %+v", snap.cluster.Topics, snap.topics)
	}
}

// A tail shows a record as text, cut.
func TestTailRowsAreCut(t *testing.T) {
	var e tailEvent
	filter, err := message.CompileFilter("")
	if err != nil {
		t.Fatal(err)
	}
	e.take(&kgo.Record{Topic: "x", Value: bytes.Repeat([]byte("é"), 1<<20), Key: []byte{0xff}}, filter)
	if n := len(e.Rows[0].Value); n > maxShown+8 || !strings.HasSuffix(e.Rows[0].Value, "…") || e.Rows[0].Key != "\uFFFD" {
		t.Errorf("%d bytes, key %q", n, e.Rows[0].Key)
	}
}
