package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxAsked bounds the series that one stream or range may ask for.
const maxAsked = 20

// liveTexts are the texts that pages show and that change: the same on the
// page and in the stream of events.
func liveTexts(snap *snapshot, list []Pipeline) map[string]string {
	_, live := flowOf(snap, list)
	records, bytes := snap.sums(snap.recent)
	live["records_in"], live["bytes_in"], live["lag"] = perSecond(records), bytesPerSecond(bytes), integer(snap.lag())
	live["size"], live["files"] = byteSize(snap.size()), filesNote(snap)
	live["rows"] = integer(snap.rows())
	live["topics"] = integer(int64(snap.cluster.Topics))
	for _, p := range snap.pipelines {
		live["state/"+p.Name] = "pipeline, " + strings.ToLower(p.State)
		for _, t := range p.Sources {
			live[readKey(p.Name, t)] = perSecond(snap.recent[readKey(p.Name, t)])
		}
	}
	return live
}

// stream is a response of server-sent events.
type stream struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
}

// streamTimeout bounds how long one event may take to leave: a browser that
// stopped reading frees its slot.
const streamTimeout = 10 * time.Second

// retryAfter is when a browser tries again after a stream has broken.
const retryAfter = time.Second

// openStream answers with an event stream, or with an error when there are
// too many. done must be called at the end.
func (c *Console) openStream(w http.ResponseWriter) (s *stream, done func(), err error) {
	if !take(c.streams) {
		return nil, nil, fmt.Errorf("%w: %d event streams are open", ErrBusy, maxStreams)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "retry: %d\n\n", retryAfter.Milliseconds()) // leaves with the first event
	s = &stream{w: w, ctl: http.NewResponseController(w)}
	return s, func() {
		_ = s.ctl.SetWriteDeadline(time.Time{}) // the connection may serve another request
		<-c.streams
	}, nil
}

// send writes one event. An error means that the reader has gone.
func (s *stream) send(event string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	// Not every writer has deadlines; those of tests have none.
	_ = s.ctl.SetWriteDeadline(time.Now().Add(streamTimeout))
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, body); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// points are the newest values of series.
type points struct {
	Time   int64               `json:"time"` // Unix milliseconds
	Values map[string]*float64 `json:"values"`
}

// serveEvents streams health, texts and points after each sample. Texts are
// sent when they have changed.
func (c *Console) serveEvents(w http.ResponseWriter, r *http.Request) {
	s, done, err := c.openStream(w)
	if err != nil {
		c.fail(w, err)
		return
	}
	defer done()
	names := listParam(r, "series")
	sent := map[string]string{}
	for {
		snap, next := c.sampler.snapshot()
		if err := c.sendSample(s, snap, names, sent); err != nil {
			return
		}
		if !wait(r.Context(), next) {
			return
		}
	}
}

func wait(ctx context.Context, next <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-next:
		return true
	}
}

func (c *Console) sendSample(s *stream, snap *snapshot, names []string, sent map[string]string) error {
	if err := s.send("health", snap.health()); err != nil {
		return err
	}
	changed := map[string]string{}
	for key, text := range snap.live {
		if old, ok := sent[key]; !ok || old != text {
			changed[key], sent[key] = text, text
		}
	}
	if len(changed) > 0 {
		if err := s.send("texts", changed); err != nil {
			return err
		}
	}
	if len(names) == 0 || snap.at.IsZero() || snap.err != nil {
		return nil
	}
	at := snap.at.UnixMilli()
	last := c.sampler.history.between(names, time.UnixMilli(at), snap.at)
	p := points{Time: at, Values: map[string]*float64{}}
	for name, values := range last.Series {
		if len(values) > 0 {
			p.Values[name] = values[len(values)-1]
		}
	}
	return s.send("points", p)
}

// listParam is a comma-separated or repeated parameter, at most maxAsked items.
func listParam(r *http.Request, name string) []string {
	var out []string
	for _, v := range r.URL.Query()[name] {
		for item := range strings.SplitSeq(v, ",") {
			if item != "" && len(out) < maxAsked {
				out = append(out, item)
			}
		}
	}
	return out
}
