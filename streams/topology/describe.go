package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Describe prints the topology in the text form of Kafka Streams, which many
// tools read. Internal topics are named without the application id. The lists
// after an arrow are in build order.
func (t *Topology) Describe() string {
	var w strings.Builder
	w.WriteString("Topologies:\n ")
	for _, s := range t.subs {
		fmt.Fprintf(&w, "  Sub-topology: %d\n", s.ID)
		for _, n := range describeOrder(s.Nodes) {
			describeNode(&w, n)
		}
		w.WriteByte('\n')
	}
	return w.String()
}

// describeOrder puts the nodes with more below them first.
func describeOrder(nodes []*Node) []*Node {
	out := slices.Clone(nodes)
	slices.SortFunc(out, func(a, b *Node) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func describeNode(w *strings.Builder, n *Node) {
	fmt.Fprintf(w, "    %s: %s", n.Kind, n.Name)
	switch n.Kind {
	case KindSource:
		fmt.Fprintf(w, " (topics: [%s])\n      --> %s\n", strings.Join(sortedTopics(n), ", "), list(n.Children))
	case KindSink:
		topic := "topic: " + n.Sink.Topic
		if n.Sink.TopicOf != nil {
			topic = "extractor class: " + n.Sink.Topic
		}
		fmt.Fprintf(w, " (%s)\n      <-- %s\n", topic, list(n.Parents))
	default:
		fmt.Fprintf(w, " (stores: [%s])\n      --> %s\n      <-- %s\n",
			strings.Join(n.Stores, ", "), list(n.Children), list(n.Parents))
	}
}

func sortedTopics(n *Node) []string { return slices.Sorted(slices.Values(n.Source.Topics)) }

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
