package console

import (
	"net/url"
	"strings"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/pipelines"
	"github.com/leatstream/leat/streams/topology"
)

// flow is the picture of everything: sources → topics → pipelines and groups →
// topics → files.
type flow struct {
	pic    Picture
	snap   *snapshot
	boxes  map[string]bool
	hidden map[string]bool   // topics of pipelines that are not drawn
	live   map[string]string // texts by key of the event stream
}

// flowOf draws a snapshot. The texts of its live keys are returned too, so
// that pages and event streams say the same.
func flowOf(snap *snapshot, list []Pipeline) (*Picture, map[string]string) {
	f := &flow{snap: snap, boxes: map[string]bool{}, hidden: map[string]bool{}, live: map[string]string{}}
	for _, c := range snap.connectors {
		f.connector(c)
	}
	own := map[string]bool{}
	for _, p := range list {
		own[p.App.Plan().Name] = true
		f.pipeline(p)
	}
	for _, g := range snap.groups {
		if len(f.boxes) < maxBoxes/2 && !own[g.Group] && !strings.HasPrefix(g.Group, "connect-") {
			f.group(g, snap.reads[g.Group])
		}
	}
	for _, t := range snap.topics {
		if !t.Internal && !snap.machinery(t.Name) && !f.hidden[t.Name] && len(f.boxes) < maxBoxes/2 {
			f.topic(t.Name)
		}
	}
	return &f.pic, f.live
}

func (f *flow) box(b Box) string {
	if !f.boxes[b.ID] {
		f.boxes[b.ID] = true
		if b.Live != "" {
			f.live[b.Live] = b.Note
		}
		f.pic.Boxes = append(f.pic.Boxes, &b)
	}
	return b.ID
}

func (f *flow) line(from, to string, rate float64) {
	l := &Line{From: from, To: to, Kind: "flow", Live: "edge/" + from + "/" + to, Rate: perSecond(rate)}
	f.live[l.Live] = l.Rate
	f.pic.Lines = append(f.pic.Lines, l)
}

func (f *flow) topic(name string) string {
	return f.box(Box{
		ID: "topic:" + name, Kind: "topic", Label: name, Href: "/topics/" + url.PathEscape(name),
		Live: "total/" + name, Note: integer(f.records(name)) + " records",
	})
}

func (f *flow) records(topic string) int64 {
	for _, t := range f.snap.topics {
		if t.Name == topic {
			return t.Records
		}
	}
	return -1
}

func (f *flow) connector(c Connector) {
	name := c.Connector.Connector
	id := f.box(Box{ID: "connector:" + name, Kind: "connector", Label: name, Href: "/connectors", Note: c.Type + " connector"})
	for _, t := range c.Topics {
		if c.Type == "sink" {
			f.line(f.topic(t), id, f.snap.recent[connectorKey(name)])
			continue
		}
		f.line(id, f.topic(t), f.snap.recent[connectorKey(name)]/float64(len(c.Topics)))
	}
}

func (f *flow) pipeline(p Pipeline) {
	plan := p.App.Plan()
	id := f.box(Box{
		ID: "pipeline:" + plan.Name, Kind: "pipeline", Label: plan.Name, Href: "/pipelines/" + url.PathEscape(plan.Name),
		Live: "state/" + plan.Name, Note: "pipeline, " + strings.ToLower(p.App.State()),
	})
	for _, t := range plan.Topics {
		switch {
		case t.Role == pipelines.RoleSource:
			f.line(f.topic(t.Name), id, f.snap.recent[readKey(plan.Name, t.Name)])
		case t.Role == pipelines.RoleSink && !f.quiet(plan, t.Name):
			f.line(id, f.topic(t.Name), f.snap.recent[topicKey(t.Name)])
		case t.Role == pipelines.RoleDeadLetter && f.records(t.Name) > 0:
			f.line(id, f.topic(t.Name), f.snap.recent[topicKey(t.Name)])
		default:
			f.hidden[t.Name] = true
		}
	}
	for _, props := range plan.Connectors {
		files := f.box(Box{
			ID: "files:" + props["path"], Kind: "files", Label: "Parquet files", Href: "/files",
			Live: "files", Note: filesNote(f.snap),
		})
		f.line(id, files, f.snap.recent[filesKey])
	}
}

// quiet tells of side outputs, as those for late records, which are drawn once
// something is in them.
func (f *flow) quiet(plan *pipelines.Plan, topic string) bool {
	if f.records(topic) > 0 {
		return false
	}
	for _, t := range plan.Topics {
		if t.Role == pipelines.RoleSink && f.records(t.Name) > 0 {
			return true
		}
	}
	return false
}

func filesNote(snap *snapshot) string {
	return count(len(snap.files), "file") + ", " + integer(snap.rows()) + " rows"
}

// group is a consumer group that is no pipeline.
func (f *flow) group(g admin.Group, topics []string) {
	for _, t := range topics {
		id := f.box(Box{ID: "group:" + g.Group, Kind: "group", Label: g.Group, Href: "/groups/" + url.PathEscape(g.Group), Note: "consumer group"})
		f.line(f.topic(t), id, f.snap.recent[readKey(g.Group, t)])
	}
}

// pipelinePicture draws the topology of one pipeline, downwards. Sources and
// sinks of the topology are left out: the topics beside them say the same.
func pipelinePicture(p Pipeline, snap *snapshot) *Picture {
	pic := &Picture{Down: true}
	topo := p.App.Topology()
	if topo == nil {
		return pic
	}
	g := topo.Graph(p.App.Plan().Name)
	kinds := map[string]string{}
	for _, n := range g.Nodes {
		kinds[n.ID] = n.Kind
		if b, ok := stepBox(n, snap); ok {
			b.Label = strings.TrimPrefix(b.Label, p.App.Plan().Name+"-")
			pic.Boxes = append(pic.Boxes, &b)
		}
	}
	for _, e := range g.Edges {
		for _, from := range around(g, e.From, kinds, false) {
			for _, to := range around(g, e.To, kinds, true) {
				l := &Line{From: from, To: to, Kind: e.Kind}
				if topic, ok := strings.CutPrefix(from, "topic:"); ok && e.Kind == "flow" {
					key := readKey(p.App.Plan().Name, topic)
					l.Live, l.Rate = key, perSecond(snap.recent[key])
				}
				pic.Lines = append(pic.Lines, l)
			}
		}
	}
	return pic
}

// around is id itself, or what stands behind (or before) a source or sink that
// is not drawn.
func around(g topology.Graph, id string, kinds map[string]string, ahead bool) []string {
	if k := kinds[id]; k != "source" && k != "sink" {
		return []string{id}
	}
	var ids []string
	for _, e := range g.Edges {
		switch {
		case ahead && e.From == id:
			ids = append(ids, e.To)
		case !ahead && e.To == id:
			ids = append(ids, e.From)
		}
	}
	return ids
}

func stepBox(n topology.GraphNode, snap *snapshot) (Box, bool) {
	b := Box{ID: n.ID, Kind: "step", Label: n.Label, Note: n.Kind}
	switch n.Kind {
	case "source", "sink":
		return b, false
	case "topic", "repartition", "changelog", "topics":
		b.Kind, b.Note = "topic", n.Kind
		if n.Kind != "topics" {
			b.Href = "/topics/" + url.PathEscape(n.Label)
		}
		b.Live = "rate/" + n.Label
		b.Note = n.Kind + ", " + perSecond(snap.recent[topicKey(n.Label)])
	case "store":
		b.Kind = "store"
	default:
		b.Note = "step"
	}
	return b, true
}
