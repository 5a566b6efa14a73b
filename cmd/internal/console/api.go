package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/cmd/internal/output"
)

const (
	apiLimit   = 1000   // items of a list, unless asked otherwise
	maxLimit   = 100000 // of a list
	askTimeout = 10 * time.Second
)

func (c *Console) apiRoutes(mux *http.ServeMux) {
	api := func(pattern string, answer func(*http.Request) (any, error)) {
		mux.HandleFunc("GET /api/v1/"+pattern, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
			defer cancel()
			v, err := answer(r.WithContext(ctx))
			if err != nil {
				c.fail(w, err)
				return
			}
			c.writeJSON(w, v)
		})
	}
	api("cluster", func(*http.Request) (any, error) { return c.now().cluster, nil })
	api("brokers", func(*http.Request) (any, error) { return c.now().cluster.Brokers, nil })
	api("health", func(*http.Request) (any, error) { return c.now().health(), nil })
	mux.HandleFunc("GET /api/v1/topics", c.serveTopicsJSON)
	api("topics/{topic}", func(r *http.Request) (any, error) {
		return c.describeTopic(r)
	})
	api("topics/{topic}/partitions", func(r *http.Request) (any, error) {
		t, err := c.describeTopic(r)
		return t.Partitions, err
	})
	api("topics/{topic}/records", func(r *http.Request) (any, error) {
		q, err := queryOf(r, defaultLimit)
		if err != nil {
			return nil, err
		}
		return c.read(r.Context(), q)
	})
	mux.HandleFunc("GET /api/v1/groups", c.serveGroupsJSON)
	api("groups/{group}", func(r *http.Request) (any, error) {
		return admin.DescribeGroup(r.Context(), c.adm, r.PathValue("group"))
	})
	api("pipelines", func(*http.Request) (any, error) { return nonNil(c.now().pipelines), nil })
	api("pipelines/{pipeline}", func(r *http.Request) (any, error) { return c.describePipeline(r.PathValue("pipeline")) })
	mux.HandleFunc("POST /api/v1/pipelines/{pipeline}/preview", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		document, err := documentOf(w, r)
		if err != nil {
			c.fail(w, err)
			return
		}
		p, err := c.preview(ctx, r.PathValue("pipeline"), document)
		if err != nil {
			c.fail(w, err)
			return
		}
		c.writeJSON(w, p)
	})
	api("trial", func(r *http.Request) (any, error) { return c.describeTrial(r) })
	mux.HandleFunc("POST /api/v1/trial/{action}", func(w http.ResponseWriter, r *http.Request) {
		if err := c.startTrial(r); err != nil {
			c.fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	api("connectors", func(*http.Request) (any, error) { return connectorRows(c.now()), nil })
	api("topology", c.topology)
	mux.HandleFunc("GET /api/v1/files", c.serveFilesJSON)
	api("files/{path...}", func(r *http.Request) (any, error) {
		return describeFile(c.cfg.Files, c.now().files, r.PathValue("path"))
	})
	api("metrics/range", c.metricsRange)
	mux.HandleFunc("GET /api/v1/events", c.serveEvents)
	mux.HandleFunc("GET /api/v1/tail", c.serveTail)
	mux.HandleFunc("GET /api/", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, fmt.Errorf("%s: %w", r.URL.Path, admin.ErrNotFound))
	})
}

// describeTopic reads the topic that the path names. A name that no topic can
// have is not asked for: clients try such again and again.
func (c *Console) describeTopic(r *http.Request) (admin.TopicDetail, error) {
	name := r.PathValue("topic")
	if !topicName(name) {
		return admin.TopicDetail{}, fmt.Errorf("topic %s: %w", name, admin.ErrNotFound)
	}
	return admin.DescribeTopic(r.Context(), c.adm, name)
}

func topicName(s string) bool {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	return s != "" && len(s) <= 249 && strings.IndexFunc(s, bad) < 0
}

// now is the latest snapshot.
func (c *Console) now() *snapshot { return c.sampler.current.Load() }

// writeJSON encodes as the command line does with --format json.
func (c *Console) writeJSON(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	if err := output.One(output.Printer{Format: output.JSON, Out: &body}, v); err != nil {
		c.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = body.WriteTo(w)
}

// problem is the body of an error.
type problem struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, admin.ErrNotFound) || errors.Is(err, errNoFile) || errors.Is(err, errNoPipeline) || errors.Is(err, errNoTrial):
		return http.StatusNotFound
	case errors.Is(err, errQuery):
		return http.StatusBadRequest
	case errors.Is(err, admin.ErrTrialBusy):
		return http.StatusConflict
	case errors.Is(err, ErrBusy):
		return http.StatusTooManyRequests
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

func (c *Console) fail(w http.ResponseWriter, err error) {
	status := statusOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = output.One(output.Printer{Format: output.JSON, Out: w}, problem{err.Error(), status})
}

func (c *Console) serveTopicsJSON(w http.ResponseWriter, r *http.Request) {
	v := listView(r, apiLimit)
	serveList(c, w, v, topicRows(c.now(), v, r.URL.Query().Get("internal") == "true"), func(t topicRow) admin.Topic { return t.Topic })
}

func (c *Console) serveGroupsJSON(w http.ResponseWriter, r *http.Request) {
	v := listView(r, apiLimit)
	serveList(c, w, v, groupRows(c.now(), v), func(g groupRow) admin.Group { return g.Group })
}

func (c *Console) serveFilesJSON(w http.ResponseWriter, r *http.Request) {
	v := listView(r, apiLimit)
	serveList(c, w, v, fileRows(c.now(), v), func(f admin.File) admin.File { return f })
}

// serveList answers with one page of a list. What a page cannot say is in
// headers, so that the body is that of the command line.
func serveList[R, T any](c *Console, w http.ResponseWriter, v view, rows []R, plain func(R) T) {
	page, next := cut(rows, v)
	out := make([]T, len(page))
	for i, row := range page {
		out[i] = plain(row)
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(rows)))
	if next != "" {
		w.Header().Set("X-Next-Cursor", next)
	}
	c.writeJSON(w, out)
}

func connectorRows(snap *snapshot) []admin.Connector {
	out := make([]admin.Connector, len(snap.connectors))
	for i, c := range snap.connectors {
		out[i] = c.Connector
	}
	return out
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Topology is the picture of the overview as data.
type Topology struct {
	Nodes []TopologyNode `json:"nodes"`
	Edges []TopologyEdge `json:"edges"`
}

// TopologyNode is a connector, topic, pipeline, group or folder of files.
type TopologyNode struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Label string `json:"label"`
}

// TopologyEdge leads in the direction of the data.
type TopologyEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Rate string `json:"rate"`
}

func (c *Console) topology(*http.Request) (any, error) {
	pic, _ := flowOf(c.now(), c.cfg.Pipelines)
	t := Topology{Nodes: []TopologyNode{}, Edges: []TopologyEdge{}}
	for _, b := range pic.Boxes {
		t.Nodes = append(t.Nodes, TopologyNode{b.ID, b.Kind, b.Label})
	}
	for _, l := range pic.Lines {
		t.Edges = append(t.Edges, TopologyEdge{l.From, l.To, l.Rate})
	}
	return t, nil
}

// metricsRange reads names, and from and to in Unix milliseconds; the default
// is the last five minutes.
func (c *Console) metricsRange(r *http.Request) (any, error) {
	names := listParam(r, "names")
	if len(names) == 0 {
		names = []string{seriesRecords, seriesBytes, seriesLag}
	}
	to := time.Now()
	from := to.Add(-5 * time.Minute)
	for name, into := range map[string]*time.Time{"from": &from, "to": &to} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s=%s %w: want Unix milliseconds", name, text, errQuery)
		}
		*into = time.UnixMilli(ms)
	}
	return c.sampler.history.between(names, from, to), nil
}

// queryOf reads a bounded read from the URL.
// queryOf reads a query from a URL; limit is how many records it wants unless it says so.
func queryOf(r *http.Request, limit int) (query, error) {
	v := r.URL.Query()
	q := query{
		topic: r.PathValue("topic"), partition: -1, from: v.Get("from"), cursor: v.Get("cursor"),
		limit: limit, filtered: v.Get("where") != "",
	}
	var err error
	if q.where, err = message.CompileFilter(v.Get("where")); err != nil {
		return q, fmt.Errorf("where %w: %w", errQuery, err)
	}
	if text := v.Get("partition"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return q, fmt.Errorf("partition=%s %w: want a number", text, errQuery)
		}
		q.partition = int32(n)
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxMatched {
			return q, fmt.Errorf("limit=%s %w: want 1 to %d", text, errQuery, maxMatched)
		}
		q.limit = n
	}
	return q, nil
}

// view is how a list is asked for: part of the URL of page and API.
type view struct {
	Query  string
	Sort   string // a column; "-" in front for descending
	Limit  int
	Cursor int // index of the first row
}

func listView(r *http.Request, limit int) view {
	q := r.URL.Query()
	v := view{Query: q.Get("q"), Sort: q.Get("sort"), Limit: limit}
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		v.Limit = min(n, maxLimit)
	}
	if n, err := strconv.Atoi(q.Get("cursor")); err == nil && n > 0 {
		v.Cursor = n
	}
	return v
}

func (v view) matches(texts ...string) bool {
	q := strings.ToLower(v.Query)
	return q == "" || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), q) })
}

// cut is one page of rows, and the cursor of the next.
func cut[T any](rows []T, v view) (page []T, next string) {
	first := min(v.Cursor, len(rows))
	last := min(first+v.Limit, len(rows))
	if last < len(rows) {
		next = strconv.Itoa(last)
	}
	return rows[first:last], next
}

// sortRows sorts by the column that the view names.
func sortRows[T any](rows []T, v view, columns map[string]func(a, b T) int) {
	name, descending := strings.CutPrefix(v.Sort, "-")
	compare, ok := columns[name]
	if !ok {
		return
	}
	slices.SortStableFunc(rows, func(a, b T) int {
		if descending {
			a, b = b, a
		}
		return compare(a, b)
	})
}
