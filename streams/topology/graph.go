package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Graph is the topology as data, for pictures: [Topology.JSON] encodes it.
type Graph struct {
	App   string      `json:"app"`
	Nodes []GraphNode `json:"nodes"`
	Edges []GraphEdge `json:"edges"`
}

// GraphNode is a topic, a store or a node of the topology.
type GraphNode struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"` // topic, topics (chosen by record), repartition, changelog, source, processor, sink, store
	Label string `json:"label"`
	Sub   int    `json:"sub"` // -1 for topics
}

// GraphEdge leads from one node to another in the direction of the data.
type GraphEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"` // flow, state, changelog
}

// Graph makes the drawable form with topics as nodes.
func (t *Topology) Graph(app string) Graph {
	g := Graph{App: app}
	seen := map[string]bool{}
	topic := func(name, kind string) string {
		id := "topic:" + name
		if !seen[id] {
			seen[id] = true
			g.Nodes = append(g.Nodes, GraphNode{ID: id, Kind: kind, Label: name, Sub: -1})
		}
		return id
	}
	for _, n := range t.nodes {
		id := "node:" + n.Name
		g.Nodes = append(g.Nodes, GraphNode{ID: id, Kind: strings.ToLower(n.Kind.String()), Label: n.Name, Sub: n.Sub})
		switch n.Kind {
		case KindSource:
			for _, name := range n.Source.Topics {
				name, kind := topicOf(app, name, n.Source.Repartition)
				g.Edges = append(g.Edges, GraphEdge{topic(name, kind), id, "flow"})
			}
		case KindSink:
			if n.Sink.Topic != "" {
				name, kind := topicOf(app, n.Sink.Topic, n.Sink.Repartition)
				if n.Sink.TopicOf != nil {
					kind = "topics"
				}
				g.Edges = append(g.Edges, GraphEdge{id, topic(name, kind), "flow"})
			}
		}
		for _, p := range n.Parents {
			g.Edges = append(g.Edges, GraphEdge{"node:" + p, id, "flow"})
		}
		for _, s := range n.Stores {
			g.Edges = append(g.Edges, GraphEdge{id, "store:" + s, "state"})
		}
	}
	for _, s := range t.stores {
		g.Nodes = append(g.Nodes, GraphNode{ID: "store:" + s.Name, Kind: "store", Label: s.Name, Sub: s.Sub})
		if !s.NoChangelog {
			id := topic(ChangelogTopic(app, s.Name), "changelog")
			g.Edges = append(g.Edges, GraphEdge{"store:" + s.Name, id, "changelog"})
		}
	}
	return g
}

func topicOf(app, name string, internal bool) (full, kind string) {
	if internal {
		return InternalName(app, name), "repartition"
	}
	return name, "topic"
}

// JSON is the graph as an indented document.
func (t *Topology) JSON(app string) ([]byte, error) {
	out, err := json.MarshalIndent(t.Graph(app), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	return append(out, '\n'), nil
}

// Mermaid draws the graph for Markdown.
func (t *Topology) Mermaid(app string) string {
	g := t.Graph(app)
	ids := shortIDs(g)
	var w strings.Builder
	w.WriteString("flowchart LR\n")
	eachSub(g, func(sub int, nodes []GraphNode) {
		if sub >= 0 {
			fmt.Fprintf(&w, "  subgraph sub%d [\"sub-topology %d\"]\n", sub, sub)
		}
		for _, n := range nodes {
			open, end := mermaidShape(n.Kind)
			fmt.Fprintf(&w, "    %s%s%s%s\n", ids[n.ID], open, mermaidQuote(n.Label), end)
		}
		if sub >= 0 {
			w.WriteString("  end\n")
		}
	})
	for _, e := range g.Edges {
		arrow := "-->"
		if e.Kind != "flow" {
			arrow = "-.->"
		}
		fmt.Fprintf(&w, "  %s %s %s\n", ids[e.From], arrow, ids[e.To])
	}
	return w.String()
}

func mermaidShape(kind string) (open, end string) {
	switch kind {
	case "topic", "topics", "repartition", "changelog":
		return "([", "])"
	case "store":
		return "[(", ")]"
	default:
		return "[", "]"
	}
}

func mermaidQuote(s string) string { return `"` + strings.ReplaceAll(s, `"`, "#quot;") + `"` }

// DOT draws the graph for Graphviz.
func (t *Topology) DOT(app string) string {
	g := t.Graph(app)
	ids := shortIDs(g)
	var w strings.Builder
	fmt.Fprintf(&w, "digraph %q {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n", app)
	eachSub(g, func(sub int, nodes []GraphNode) {
		if sub >= 0 {
			fmt.Fprintf(&w, "  subgraph cluster_%d {\n    label=\"sub-topology %d\";\n", sub, sub)
		}
		for _, n := range nodes {
			fmt.Fprintf(&w, "    %s [label=%q, shape=%s];\n", ids[n.ID], n.Label, dotShape(n.Kind))
		}
		if sub >= 0 {
			w.WriteString("  }\n")
		}
	})
	for _, e := range g.Edges {
		style := ""
		if e.Kind != "flow" {
			style = " [style=dashed]"
		}
		fmt.Fprintf(&w, "  %s -> %s%s;\n", ids[e.From], ids[e.To], style)
	}
	w.WriteString("}\n")
	return w.String()
}

func dotShape(kind string) string {
	switch kind {
	case "topic", "topics", "repartition", "changelog":
		return "cds"
	case "store":
		return "cylinder"
	default:
		return "box"
	}
}

// shortIDs gives each node an identifier both drawing languages accept.
func shortIDs(g Graph) map[string]string {
	ids := make(map[string]string, len(g.Nodes))
	for i, n := range g.Nodes {
		ids[n.ID] = fmt.Sprintf("n%d", i)
	}
	return ids
}

// eachSub calls f with the topics (sub -1), then with each sub-topology.
func eachSub(g Graph, f func(sub int, nodes []GraphNode)) {
	bySub := map[int][]GraphNode{}
	var subs []int
	for _, n := range g.Nodes {
		if _, ok := bySub[n.Sub]; !ok {
			subs = append(subs, n.Sub)
		}
		bySub[n.Sub] = append(bySub[n.Sub], n)
	}
	slices.Sort(subs)
	for _, s := range subs {
		f(s, bySub[s])
	}
}
