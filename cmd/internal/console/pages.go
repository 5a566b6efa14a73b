package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/pipelines"
)

const pageLimit = 100 // rows of a list on a page

// page is what all pages have.
type page struct {
	Title  string
	Active string // the section in the navigation
	CLI    string // the equivalent command line
	API    string // the same as JSON
	Health Health
	Series string // of the charts, for the stream of events
	Live   bool   // opens the stream of events
	Error  string
	Status int
	List   list
	Data   any
	c      *Console
}

// list is the state of a table that can be filtered, sorted and paged.
type list struct {
	view
	Path  string
	Extra url.Values // other parameters, to be kept
	Total int
	Next  string
}

// URL is the list's own with one parameter changed.
func (l list) URL(name, value string) string {
	v := maps.Clone(l.Extra)
	if v == nil {
		v = url.Values{}
	}
	for key, text := range map[string]string{"q": l.Query, "sort": l.Sort, name: value} {
		if v.Del(key); text != "" {
			v.Set(key, text)
		}
	}
	if len(v) == 0 {
		return l.Path
	}
	return l.Path + "?" + v.Encode()
}

// Toggle is the URL that sorts by a column: descending first.
func (l list) Toggle(column string) string {
	if l.Sort == "-"+column {
		return l.URL("sort", column)
	}
	return l.URL("sort", "-"+column)
}

// Arrow shows how the list is sorted by a column.
func (l list) Arrow(column string) string {
	switch l.Sort {
	case column:
		return "↑"
	case "-" + column:
		return "↓"
	}
	return ""
}

func (c *Console) pageRoutes(mux *http.ServeMux) {
	pages := map[string]func(*http.Request, *page) error{
		"/{$}": c.overviewPage, "/topics": c.topicsPage, "/topics/{topic}": c.topicPage, "/topics/{topic}/{partition}/{offset}": c.recordPage, "/tail": c.tailPage,
		"/groups": c.groupsPage, "/groups/{group}": c.groupPage,
		"/pipelines": c.pipelinesPage, "/pipelines/{pipeline}": c.pipelinePage,
		"/connectors": c.connectorsPage, "/trial": c.trialPage, "/files": c.filesPage, "/files/{path...}": c.filePage,
	}
	names := map[string]string{
		"/{$}": "overview", "/topics": "topics", "/topics/{topic}": "topic", "/topics/{topic}/{partition}/{offset}": "record", "/tail": "tail", "/groups": "groups", "/groups/{group}": "group",
		"/pipelines": "pipelines", "/pipelines/{pipeline}": "pipeline", "/connectors": "connectors", "/trial": "trial", "/files": "files", "/files/{path...}": "file",
	}
	for pattern, fill := range pages {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { c.servePage(w, r, names[pattern], fill) })
	}
	mux.HandleFunc("POST /trial/{action}", func(w http.ResponseWriter, r *http.Request) { c.servePage(w, r, "trial", c.breakPage) })
	mux.HandleFunc("POST /pipelines/{pipeline}", func(w http.ResponseWriter, r *http.Request) {
		c.servePage(w, r, "pipeline", func(r *http.Request, p *page) error { return c.editPage(w, r, p) })
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		c.servePage(w, r, "error", func(r *http.Request, p *page) error {
			return fmt.Errorf("%s: %w", r.URL.Path, admin.ErrNotFound)
		})
	})
}

func (c *Console) servePage(w http.ResponseWriter, r *http.Request, name string, fill func(*http.Request, *page) error) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	p := &page{Health: c.now().health(), Live: true, Status: http.StatusOK, c: c}
	if err := fill(r.WithContext(ctx), p); err != nil {
		name = "error"
		p.Title, p.Error, p.Status = "Not here", err.Error(), statusOf(err)
	}
	var body bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&body, "layout", p); err != nil {
		c.log.Error("console page", "page", name, "err", err)
		http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = body.WriteTo(w)
}

// command is a line of the command line tool against this cluster.
func (c *Console) command(args ...string) string {
	words := []string{"leat"}
	for _, a := range args {
		words = append(words, shellQuote(a))
	}
	if c.cfg.Bootstrap != "" {
		words = append(words, "-b", shellQuote(c.cfg.Bootstrap))
	}
	return strings.Join(words, " ")
}

// HasPipelines tells the navigation what there is.
func (p *page) HasPipelines() bool { return len(p.c.cfg.Pipelines) > 0 }

// HasConnectors is as HasPipelines.
func (p *page) HasConnectors() bool { return p.c.cfg.Connectors != nil }

// HasFiles is as HasPipelines.
func (p *page) HasFiles() bool { return p.c.cfg.Files != "" }

// Bootstrap is how the cluster is reached.
func (p *page) Bootstrap() string { return p.c.cfg.Bootstrap }

type overviewData struct {
	Tiles   []tile
	Charts  []chart
	Picture template.HTML
	Brokers []admin.Broker
	Trial   bool
}

// tile is a number in large type.
type tile struct{ Label, Value, Live, Href string }

// chart is drawn by the browser.
type chart struct{ Title, Series, Unit, Color string }

func (c *Console) overviewPage(_ *http.Request, p *page) error {
	snap := c.now()
	p.Title, p.Active, p.API = "Overview", "overview", "/api/v1/topology"
	p.CLI = c.command("topic", "list")
	p.Series = strings.Join([]string{seriesRecords, seriesBytes, seriesLag}, ",")
	live := snap.live
	pic, _ := flowOf(snap, c.cfg.Pipelines)
	d := overviewData{Brokers: snap.cluster.Brokers, Picture: pic.svg("Flow of records"), Trial: c.cfg.Trial != nil}
	d.Tiles = []tile{
		{"Records in", live["records_in"], "records_in", "/topics?sort=-rate"},
		{"Bytes in", live["bytes_in"], "bytes_in", "/topics?sort=-size"},
		{"Consumer lag", live["lag"], "lag", "/groups?sort=-lag"},
		{"Topics", live["topics"], "topics", "/topics"},
		{"On disk", live["size"], "size", "/topics?sort=-size"},
	}
	if p.HasFiles() {
		d.Tiles = append(d.Tiles, tile{"Exported rows", live["rows"], "rows", "/files"})
	}
	d.Charts = []chart{
		{"Records in per second", seriesRecords, "rate", "1"}, {"Bytes in per second", seriesBytes, "bytes", "2"}, {"Consumer lag, records", seriesLag, "count", "3"},
	}
	p.Data = d
	return nil
}

func (c *Console) topicsPage(r *http.Request, p *page) error {
	v := listView(r, pageLimit)
	internal := r.URL.Query().Get("internal") == "true"
	p.Title, p.Active, p.CLI, p.API = "Topics", "topics", c.command("topic", "list"), "/api/v1/topics"
	p.List = list{view: v, Path: "/topics"}
	if internal {
		p.List.Extra, p.API = url.Values{"internal": {"true"}}, "/api/v1/topics?internal=true"
	}
	rows := topicRows(c.now(), v, internal)
	p.List.Total = len(rows)
	p.Data, p.List.Next = cut(rows, v)
	return nil
}

func (c *Console) groupsPage(r *http.Request, p *page) error {
	v := listView(r, pageLimit)
	p.Title, p.Active, p.CLI, p.API = "Consumer groups", "groups", c.command("group", "list", "--lag"), "/api/v1/groups"
	rows := groupRows(c.now(), v)
	p.List = list{view: v, Path: "/groups", Total: len(rows)}
	p.Data, p.List.Next = cut(rows, v)
	return nil
}

type groupData struct {
	admin.GroupDetail
	Pace  float64
	Time  string
	Chart chart
}

func (c *Console) groupPage(r *http.Request, p *page) error {
	name := r.PathValue("group")
	p.Title, p.Active, p.CLI, p.API = name, "groups", c.command("group", "describe", name), "/api/v1/groups/"+url.PathEscape(name)
	d, err := admin.DescribeGroup(r.Context(), c.adm, name)
	if err != nil {
		return err
	}
	pace := c.now().recent[groupKey(name)]
	p.Series = lagSeries(name)
	p.Data = groupData{d, pace, lagTime(d.Lag, pace), chart{"Lag, records", lagSeries(name), "count", "3"}}
	return nil
}

type topicData struct {
	admin.TopicDetail
	Tab     string
	From    string
	Where   string
	Part    string
	Limit   int
	Records []shownRecord
	Answer  Records
	Problem string // of the read
	Next    string // URL of the records that follow
	Groups  []groupRow
	Rate    float64
	Chart   chart
}

// shownRecord is a record in a table: what fits in a line.
type shownRecord struct {
	message.Message
	KeyText, ValueText string
	URL                string // of its own page
}

func (c *Console) topicPage(r *http.Request, p *page) error {
	name, q := r.PathValue("topic"), r.URL.Query()
	p.Title, p.Active, p.API = name, "topics", "/api/v1/topics/"+url.PathEscape(name)
	detail, err := c.describeTopic(r)
	if err != nil {
		return err
	}
	d := &topicData{TopicDetail: detail, Tab: q.Get("tab"), Rate: c.now().recent[topicKey(name)]}
	switch d.Tab {
	case "partitions", "configs":
		p.CLI = c.command("topic", "describe", name)
	case "consumers":
		p.CLI = c.command("group", "list", "--lag")
		d.Groups = c.readersOf(name)
	default:
		d.Tab = "messages"
		c.fillMessages(r, p, d)
	}
	p.Series = topicSeries(name)
	d.Chart = chart{"Records in per second", topicSeries(name), "rate", "1"}
	p.Data = d
	return nil
}

// readersOf are the groups that have read a topic.
func (c *Console) readersOf(topic string) []groupRow {
	snap := c.now()
	return slices.DeleteFunc(groupRows(snap, view{}), func(g groupRow) bool { return !slices.Contains(snap.reads[g.Group.Group], topic) })
}

func (c *Console) fillMessages(r *http.Request, p *page, d *topicData) {
	v := r.URL.Query()
	d.From, d.Where, d.Part = v.Get("from"), v.Get("where"), v.Get("partition")
	if at := strings.TrimSpace(v.Get("at")); at != "" {
		d.From = at
	}
	q, err := queryOf(r, shownLines)
	d.Limit = q.limit
	v.Set("limit", strconv.Itoa(q.limit))
	p.API += "/records?" + v.Encode()
	p.CLI = c.command(consumeArgs(d)...)
	if err != nil {
		d.Problem = err.Error()
		return
	}
	if q.from = d.From; d.From == "" {
		d.From = newest
	}
	if d.Answer, err = c.read(r.Context(), q); err != nil {
		d.Problem = err.Error()
		return
	}
	for _, m := range d.Answer.Records {
		d.Records = append(d.Records, shown(m))
	}
	if q.from == "" || q.from == newest {
		slices.Reverse(d.Records) // the newest on top
	}
	if d.Answer.Next != "" {
		v.Set("cursor", d.Answer.Next)
		d.Next = r.URL.Path + "?" + v.Encode()
	}
}

// consumeArgs is the command that prints about the same records.
func consumeArgs(d *topicData) []string {
	args := []string{"topic", "consume", d.Name}
	switch d.From {
	case "", newest:
		args = append(args, "-o", fmt.Sprintf("-%d", max(1, d.Limit)))
	default:
		args = append(args, "-o", d.From, "-n", fmt.Sprint(d.Limit))
	}
	if d.Part != "" {
		args = append(args, "-p", d.Part)
	}
	if d.Where != "" {
		args = append(args, "--where", d.Where)
	}
	return append(args, "--exit-at-end")
}

// shownLines is how many records a page begins with: what lies below the fold of a
// large screen would only hold up the first paint.
const shownLines = 30

// maxLine is how much of a value a line of a table has; its own page has more.
const maxLine = 400

func shown(m message.Message) shownRecord {
	return shownRecord{
		Message: m, KeyText: keyText(m), ValueText: cutText([]byte(valueText(m)), maxLine),
		URL: fmt.Sprintf("/topics/%s/%d/%d", url.PathEscape(m.Topic), m.Partition, m.Offset),
	}
}

func keyText(m message.Message) string {
	if m.Key != nil {
		return shownText([]byte(*m.Key))
	}
	if m.KeyBase64 != "" {
		return "base64 " + shorten(m.KeyBase64, 64)
	}
	return "–"
}

// recordData is one record on a page of its own.
type recordData struct {
	message.Message
	KeyText, Full string // Full is the value, indented
}

// recordPage shows one record. The table of messages takes the page's middle when
// a line is opened.
func (c *Console) recordPage(r *http.Request, p *page) error {
	topic := r.PathValue("topic")
	partition, err1 := strconv.ParseInt(r.PathValue("partition"), 10, 32)
	offset, err2 := strconv.ParseInt(r.PathValue("offset"), 10, 64)
	if err1 != nil || err2 != nil || partition < 0 || offset < 0 {
		return fmt.Errorf("%s: %w", r.URL.Path, admin.ErrNotFound)
	}
	at := strconv.FormatInt(offset, 10)
	found, err := c.read(r.Context(), query{topic: topic, partition: int32(partition), from: at, limit: 1})
	if err != nil {
		return err
	}
	if len(found.Records) == 0 || found.Records[0].Offset != offset {
		return fmt.Errorf("record %d of partition %d of %s: %w", offset, partition, topic, admin.ErrNotFound)
	}
	m := found.Records[0]
	d := recordData{Message: m, KeyText: keyText(m), Full: shownText([]byte(pretty(valueText(m))))}
	p.Title, p.Active = fmt.Sprintf("Partition %d, offset %d", partition, offset), "topics"
	p.API = fmt.Sprintf("/api/v1/topics/%s/records?partition=%d&from=%d&limit=1", url.PathEscape(topic), partition, offset)
	p.CLI = c.command("topic", "consume", topic, "-p", r.PathValue("partition"), "-o", at, "-n", "1")
	p.Data = d
	return nil
}

type tailData struct {
	Topic, Where string
	Topics       []string
	Problem      string
	Stream       string
}

// maxChoices is how many topics a list of choices may have.
const maxChoices = 500

// tailPage opens on the busiest topic, with a condition to try.
func (c *Console) tailPage(r *http.Request, p *page) error {
	v := r.URL.Query()
	d := &tailData{Topic: v.Get("topic"), Where: v.Get("where")}
	busiest := -1.0
	for _, row := range topicRows(c.now(), view{}, false) {
		d.Topics = append(d.Topics, row.Topic.Name)
		if !v.Has("topic") && row.Rate > busiest && !slices.ContainsFunc(c.cfg.Pipelines, func(p Pipeline) bool {
			return strings.HasPrefix(row.Topic.Name, p.App.Plan().Name+"-")
		}) {
			d.Topic, busiest = row.Topic.Name, row.Rate
		}
	}
	if len(d.Topics) > maxChoices {
		d.Topics = nil // the name is typed
	} else if d.Topic != "" && !slices.Contains(d.Topics, d.Topic) {
		d.Topics = append(d.Topics, d.Topic) // it may be too new for the last sample
	}
	if !v.Has("topic") && d.Topic == "activity" && !v.Has("where") {
		d.Where = `value.action == "search"`
	}
	if _, err := message.CompileFilter(d.Where); err != nil {
		d.Problem = err.Error()
	}
	args := []string{"topic", "tail", d.Topic}
	params := url.Values{"topic": {d.Topic}}
	if d.Where != "" {
		args = append(args, "--where", d.Where)
		params.Set("where", d.Where)
	}
	d.Stream = "/api/v1/tail?" + params.Encode()
	p.Title, p.Active, p.CLI, p.API = "Live tail", "tail", c.command(args...), "/api/v1/topics/"+url.PathEscape(d.Topic)+"/records?"+params.Encode()
	p.Live = false // one stream a tab
	p.Data = d
	return nil
}

func (c *Console) pipelinesPage(_ *http.Request, p *page) error {
	p.Title, p.Active, p.CLI, p.API = "Pipelines", "pipelines", "leat pipeline list", "/api/v1/pipelines"
	p.Data = c.now().pipelines
	return nil
}

type pipelineData struct {
	admin.PipelineDetail
	Picture template.HTML
	YAML    template.HTML
	Results []result
	Windows result

	Edit       bool
	Draft      string
	Preview    Preview
	Inputs     result
	Outputs    []result
	SampleSize int
}

// result is the newest output of a pipeline in one of its topics, as a table.
type result struct {
	Topic   string
	Role    string
	Columns []column
	Rows    [][]string
	Problem string
	Empty   string // what an empty table says
}

// column is right-aligned where all its values are numbers.
type column struct {
	Name string
	Num  bool
}

const resultRows = 12

func (c *Console) pipelinePage(r *http.Request, p *page) error {
	name := r.PathValue("pipeline")
	p.Title, p.Active, p.API = name, "pipelines", "/api/v1/pipelines/"+url.PathEscape(name)
	p.CLI = "leat pipeline graph pipelines/" + shellQuote(name) + "/pipeline.yaml"
	detail, err := c.describePipeline(name)
	if err != nil {
		return err
	}
	running, err := c.pipeline(name)
	if err != nil {
		return err
	}
	d := &pipelineData{PipelineDetail: detail, SampleSize: previewSample}
	p.Data = d
	if r.URL.Query().Get("edit") == "true" {
		p.CLI = "leat pipeline lint pipelines/" + shellQuote(name) + "/pipeline.yaml"
		return c.fillPreview(r.Context(), d, detail.Document)
	}
	d.YAML = paintYAML(detail.Document)
	d.Picture = pipelinePicture(running, c.now()).svg("Steps of " + name)
	for _, t := range detail.Topics {
		if t.Role == "sink" {
			d.Results = append(d.Results, c.resultOf(r.Context(), t.Topic))
		}
	}
	d.Windows = windowTable(detail.Windows)
	return nil
}

// editPage tries a changed document.
func (c *Console) editPage(w http.ResponseWriter, r *http.Request, p *page) error {
	document, err := documentOf(w, r)
	if err != nil {
		return err
	}
	name := r.PathValue("pipeline")
	detail, err := c.describePipeline(name)
	if err != nil {
		return err
	}
	p.Title, p.Active, p.API = name, "pipelines", "/api/v1/pipelines/"+url.PathEscape(name)
	d := &pipelineData{PipelineDetail: detail, SampleSize: previewSample}
	p.Data = d
	return c.fillPreview(r.Context(), d, document)
}

func (c *Console) fillPreview(ctx context.Context, d *pipelineData, document string) (err error) {
	d.Edit, d.Draft = true, document
	if d.Preview, err = c.preview(ctx, d.Name, document); err != nil {
		return err
	}
	var values []string
	for _, m := range d.Preview.Inputs {
		values = append(values, valueText(m))
	}
	d.Inputs = tableOf(values)
	for _, out := range d.Preview.Outputs {
		if out.Role == string(pipelines.RoleDeadLetter) && len(out.Records) == 0 {
			continue
		}
		values = values[:0]
		for _, r := range out.Records {
			values = append(values, r.Value)
		}
		t := tableOf(values)
		t.Topic, t.Role, t.Empty = out.Topic, out.Role, "No record goes there."
		d.Outputs = append(d.Outputs, t)
	}
	return nil
}

func (c *Console) resultOf(ctx context.Context, topic string) result {
	out := result{Topic: topic}
	answer, err := c.read(ctx, query{topic: topic, partition: -1, limit: resultRows, where: &message.Filter{}})
	if err != nil {
		out.Problem = err.Error()
		return out
	}
	slices.Reverse(answer.Records)
	var values []string
	for _, m := range answer.Records {
		values = append(values, valueText(m))
	}
	out = tableOf(values)
	out.Topic = topic
	out.sortRanks()
	return out
}

// valueText is the value of a message as a table shows it.
func valueText(m message.Message) string {
	switch {
	case m.Value != nil:
		return *m.Value
	case m.ValueBase64 != "":
		return "base64 " + m.ValueBase64
	}
	return "null"
}

// tableOf puts JSON objects in columns; other values share one of their own.
func tableOf(values []string) result {
	var out result
	var rows []map[string]json.RawMessage
	var names []string
	for _, text := range values {
		row := map[string]json.RawMessage{}
		if json.Unmarshal([]byte(text), &row) == nil && row != nil {
			names = mergeColumns(names, []byte(text))
		} else {
			names = mergeColumns(names, []byte(`{"value":0}`))
			raw, _ := json.Marshal(text)
			row = map[string]json.RawMessage{"value": raw}
		}
		rows = append(rows, row)
	}
	for _, name := range names {
		out.Columns = append(out.Columns, column{name, allNumbers(rows, name)})
	}
	for _, row := range rows {
		cells := make([]string, len(names))
		for i, name := range names {
			cells[i] = cell(row[name])
		}
		out.Rows = append(out.Rows, cells)
	}
	return out
}

// allNumbers tells whether a column holds numbers and nulls only.
func allNumbers(rows []map[string]json.RawMessage, name string) bool {
	found := false
	for _, row := range rows {
		raw := row[name]
		if len(raw) == 0 || string(raw) == "null" {
			continue
		}
		if c := raw[0]; c != '-' && (c < '0' || c > '9') {
			return false
		}
		found = true
	}
	return found
}

// sortRanks puts the rows of each ranking, which share the first column, in its
// order. The step top writes the column rank.
func (r *result) sortRanks() {
	rank := slices.IndexFunc(r.Columns, func(c column) bool { return c.Name == "rank" })
	if rank < 0 {
		return
	}
	slices.SortStableFunc(r.Rows, func(a, b []string) int {
		x, _ := strconv.Atoi(a[rank])
		y, _ := strconv.Atoi(b[rank])
		return cmp.Or(cmp.Compare(b[0], a[0]), cmp.Compare(x, y))
	})
}

// mergeColumns adds the names of an object in the order of its text.
func mergeColumns(columns []string, object []byte) []string {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return columns
	}
	for d.More() && len(columns) < 40 {
		name, err := d.Token()
		text, ok := name.(string)
		if err != nil || !ok {
			return columns
		}
		if !slices.Contains(columns, text) {
			columns = append(columns, text)
		}
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return columns
		}
	}
	return columns
}

// cell is a JSON value as it stands in a table: times without their date if it
// is today's.
func cell(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return momentText(at)
		}
		return shorten(text, 80)
	}
	var number float64
	if json.Unmarshal(raw, &number) == nil && strings.Contains(string(raw), ".") {
		return strconv.FormatFloat(number, 'f', 2, 64)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return "–"
	}
	return shorten(string(raw), 80)
}

// momentText is a time in UTC, as short as it can be.
func momentText(at time.Time) string {
	layout := "2006-01-02 15:04:05"
	if now := time.Now().UTC(); now.Format(time.DateOnly) == at.UTC().Format(time.DateOnly) {
		layout = time.TimeOnly
	}
	if at.Nanosecond() != 0 {
		layout += ".000"
	}
	return at.UTC().Format(layout)
}

// windowTable shows the newest open windows.
func windowTable(windows []admin.PipelineWindow) (out result) {
	names := map[string]bool{}
	for _, w := range windows {
		for name := range w.Value {
			names[name] = true
		}
	}
	slices.SortStableFunc(windows, func(a, b admin.PipelineWindow) int { return b.Start.Compare(a.Start) })
	windows = windows[:min(len(windows), resultRows)]
	var values []map[string]json.RawMessage
	for _, w := range windows {
		row := map[string]json.RawMessage{}
		for name, v := range w.Value {
			row[name], _ = json.Marshal(v)
		}
		values = append(values, row)
	}
	out.Columns = []column{{Name: "window"}, {Name: "key"}}
	sorted := slices.Sorted(maps.Keys(names))
	for _, name := range sorted {
		out.Columns = append(out.Columns, column{name, allNumbers(values, name)})
	}
	for i, w := range windows {
		row := []string{w.Start.Format("15:04:05"), shorten(w.Key, 40)}
		for _, name := range sorted {
			row = append(row, cell(values[i][name]))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func (c *Console) connectorsPage(_ *http.Request, p *page) error {
	p.Title, p.Active, p.CLI, p.API = "Connectors", "connectors", "leat connector list", "/api/v1/connectors"
	p.Data = c.now().connectors
	return nil
}

func (c *Console) filesPage(r *http.Request, p *page) error {
	v := listView(r, pageLimit)
	p.Title, p.Active, p.API = "Parquet files", "files", "/api/v1/files"
	p.CLI = "find " + shellQuote(c.cfg.Files) + " -name '*.parquet' -not -path '*/.tmp/*'"
	rows := fileRows(c.now(), v)
	p.List = list{view: v, Path: "/files", Total: len(rows)}
	p.Data, p.List.Next = cut(rows, v)
	return c.now().filesErr
}

type fileData struct {
	admin.FileDetail
	Preview result
}

func (c *Console) filePage(r *http.Request, p *page) error {
	path := r.PathValue("path")
	p.Title, p.Active, p.API = path[strings.LastIndex(path, "/")+1:], "files", (&url.URL{Path: "/api/v1/files/" + path}).String()
	p.CLI = fmt.Sprintf(`duckdb -c "from '%s/%s' limit %d"`, c.cfg.Files, path, previewRows)
	detail, err := describeFile(c.cfg.Files, c.now().files, path)
	if err != nil {
		return err
	}
	d := fileData{FileDetail: detail}
	for i, c := range detail.Columns {
		d.Preview.Columns = append(d.Preview.Columns, column{c.Name, numberColumn(detail.FirstRows, i)})
	}
	for _, row := range detail.FirstRows {
		cells := make([]string, len(row))
		for i, v := range row {
			raw, err := json.Marshal(v)
			if err != nil {
				return err
			}
			cells[i] = cell(raw)
		}
		d.Preview.Rows = append(d.Preview.Rows, cells)
	}
	p.Data = d
	return nil
}

func numberColumn(rows [][]any, i int) bool {
	for _, row := range rows {
		switch row[i].(type) {
		case int32, int64, float32, float64:
			return true
		case nil:
		default:
			return false
		}
	}
	return false
}
