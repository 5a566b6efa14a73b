package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/output"
)

// The API's bodies are those of the command line, byte for byte.
func TestAPIEqualsCommandLine(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 100)
	fill(t, adm, cl, "empty", 1, 0)
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 5, -1)
	if _, err := adm.CommitOffsets(t.Context(), "readers", offsets); err != nil {
		t.Fatal(err)
	}
	print := func(v any, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := output.One(output.Printer{Format: output.JSON, Out: &b}, v); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	topics := func(internal bool) string {
		list, err := admin.Topics(t.Context(), adm, internal)
		return print(list, err)
	}
	groups, err := admin.Groups(t.Context(), adm, nil, true)
	wantGroups := print(groups, err)
	group, err := admin.DescribeGroup(t.Context(), adm, "readers")
	wantGroup := print(group, err)
	topic, err := admin.DescribeTopic(t.Context(), adm, "orders")
	wantTopic := print(topic, err)
	cluster, err := admin.DescribeCluster(t.Context(), adm)
	for path, want := range map[string]string{
		"/api/v1/topics": topics(false), "/api/v1/topics?internal=true": topics(true), "/api/v1/topics/orders": wantTopic,
		"/api/v1/topics/orders/partitions": print(topic.Partitions, nil),
		"/api/v1/groups":                   wantGroups, "/api/v1/groups/readers": wantGroup,
		"/api/v1/cluster": print(cluster, err), "/api/v1/brokers": print(cluster.Brokers, nil),
		"/api/v1/pipelines": "[]\n", "/api/v1/connectors": "[]\n", "/api/v1/files": "[]\n",
	} {
		var got string
		eventually(t, path, func() bool {
			w := get(t, c, path)
			got = w.Body.String()
			return w.Code == http.StatusOK && got == want
		})
	}
}

func TestListsArePagedSortedAndFiltered(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	for _, name := range []string{"a", "bb", "bc", "d"} {
		fill(t, adm, cl, name, 1, len(name))
	}
	eventually(t, "four topics with records", func() bool {
		topics := c.now().topics
		return c.now().cluster.Topics == 4 && len(topics) >= 4 && topics[1].Records == 2
	})
	for query, want := range map[string]string{
		"": "a bb bc d", "?q=B": "bb bc", "?sort=-topic": "d bc bb a", "?sort=-records&limit=2": "bb bc", "?limit=2&cursor=2": "bc d", "?cursor=9": "",
	} {
		w := get(t, c, "/api/v1/topics"+query)
		var topics []admin.Topic
		if err := json.Unmarshal(w.Body.Bytes(), &topics); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, topic := range topics {
			names = append(names, topic.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		if query == "?sort=-records&limit=2" && (w.Header().Get("X-Next-Cursor") != "2" || w.Header().Get("X-Total-Count") != "4") {
			t.Errorf("headers %v", w.Header())
		}
	}
}

func readRecords(t *testing.T, c *Console, query string) Records {
	t.Helper()
	w := get(t, c, "/api/v1/topics/orders/records?"+query)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	var r Records
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecords(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 1000)
	paris := url.QueryEscape(`value.city == "Paris"`)
	for query, want := range map[string]struct{ count, first int }{
		"limit=10":                          {10, 990}, // the newest
		"limit=20&where=" + paris:           {20, -1},
		"from=start&limit=500":              {500, -1},
		"from=@1700000000900&limit=500":     {100, 900},
		"from=-5&limit=500":                 {15, -1},
		"from=0:3&partition=1&limit=500":    {3, -1},
		"from=start:@1700000000010&limit=9": {9, -1},
		"from=end":                          {0, -1},
	} {
		r := readRecords(t, c, query)
		if len(r.Records) != want.count {
			t.Errorf("%s: %d records, want %d (%+v)", query, len(r.Records), want.count, r.Reason)
		}
		for i, m := range r.Records {
			if i > 0 && m.TimestampMS < r.Records[i-1].TimestampMS {
				t.Errorf("%s: not in the order of time", query)
			}
			if strings.Contains(query, "where") && !strings.Contains(*m.Value, "Paris") {
				t.Errorf("%s: %s", query, *m.Value)
			}
		}
		if want.first >= 0 && len(r.Records) > 0 && int(r.Records[0].TimestampMS-1_700_000_000_000) != want.first {
			t.Errorf("%s: begins at %d", query, r.Records[0].TimestampMS)
		}
	}
}

// Reading on by the cursor sees every record exactly once.
func TestRecordsByCursor(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 3, 1000)
	seen := map[string]int{}
	query := "from=start&limit=77"
	for range 30 {
		r := readRecords(t, c, query)
		for _, m := range r.Records {
			seen[*m.Key]++
		}
		if r.Next == "" {
			break
		}
		query = "limit=77&cursor=" + url.QueryEscape(r.Next)
	}
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 records seen", len(seen))
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("record %s seen %d times", key, n)
		}
	}
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 1, 12_000)
	if _, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("4000000")}, "big"); err != nil {
		t.Fatal(err)
	}
	writer, err := kgo.NewClient(append(c.cfg.Client, kgo.ProducerBatchMaxBytes(3_000_000))...)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: "big", Value: bytes.Repeat([]byte("x"), 2_000_000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var cutOff Records
	if err := json.Unmarshal(get(t, c, "/api/v1/topics/big/records").Body.Bytes(), &cutOff); err != nil || cutOff.Truncated != 1 || len(*cutOff.Records[0].Value) != maxValueBytes {
		t.Errorf("a value of 2 MB: %v, %d cut", err, cutOff.Truncated)
	}
	r := readRecords(t, c, "from=start&where="+url.QueryEscape("value.n < 0"))
	if r.Scanned < maxScanned || r.Scanned > maxScanned+maxMatched || len(r.Records) != 0 || r.Next == "" {
		t.Errorf("scanned %d, next %q", r.Scanned, r.Next)
	}
	r = readRecords(t, c, "from=start&limit=2&where="+url.QueryEscape("value.missing.deep > 1"))
	if r.Failed == 0 || r.Reason == "" {
		t.Errorf("a condition that fails: %+v", r)
	}
	if w := get(t, c, "/topics/big"); w.Code != http.StatusOK || w.Body.Len() > 64<<10 {
		t.Errorf("a page with a big record: %d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	c, adm, cl := startBroker(t, nil)
	fill(t, adm, cl, "orders", 1, 1)
	for path, want := range map[string]int{
		"/api/v1/topics/none": 404, "/api/v1/topics/none/records": 404, "/api/v1/groups/none": 404, "/api/v1/pipelines/none": 404,
		"/api/v1/files/none": 404, "/api/v1/files/../../etc/passwd": 307, "/api/v1/nothing": 404, "/nothing": 404, "/topics/none": 404, "/groups/none": 404,
		"/pipelines/none": 404, "/files/none": 404, "/static/none.js": 404,
		"/api/v1/topics/orders/records?where=value+%3D%3D": 400, "/api/v1/topics/orders/records?limit=0": 400, "/api/v1/topics/orders/records?limit=501": 400,
		"/api/v1/topics/orders/records?from=yesterday": 400, "/api/v1/topics/orders/records?cursor=x": 400, "/api/v1/topics/orders/records?partition=-1": 400,
		"/api/v1/metrics/range?from=x": 400, "/api/v1/trial": 404, "/trial": 404, "/api/v1/tail": 400, "/api/v1/tail?topic=orders&where=(": 400,
	} {
		w := get(t, c, path)
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
		if strings.HasPrefix(path, "/api/") && want >= 400 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	for range maxReaders {
		c.readers <- struct{}{}
	}
	if w := get(t, c, "/api/v1/topics/orders/records"); w.Code != http.StatusTooManyRequests {
		t.Errorf("with all readers at work: %d", w.Code)
	}
}

func TestGuard(t *testing.T) {
	c, err := New(Config{Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Hosts: []string{"leat.example"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.client.Close()
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "LEAT.example": 200, "evil.example": 421, "localhost.evil.example:80": 421, "": 421,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/static/console.css", nil)
		r.Host = host
		c.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q", policy)
		}
	}
	for site, want := range map[string]int{"same-origin": 405, "none": 405, "cross-site": 403, "same-site": 403} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "http://localhost/topics", nil)
		r.Header.Set("Sec-Fetch-Site", site)
		c.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a write from %s: %d, want %d", site, w.Code, want)
		}
	}
}

// Without a cluster, pages still open and say what is wrong.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1"), kgo.RetryTimeout(1)}})
	if err != nil {
		t.Fatal(err)
	}
	if w := get(t, c, "/"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Waiting for the first answer") {
		t.Errorf("before the first sample: %d", w.Code)
	}
	runIn(t, "console", c.Run)
	eventually(t, "a sample fails", func() bool { return c.now().err != nil })
	w := get(t, c, "/")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Unreachable since") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
