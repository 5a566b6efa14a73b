package topology

import (
	"slices"
	"strconv"
	"time"
)

// InternalKind is the use of an internal topic.
type InternalKind string

// The kinds of internal topics.
const (
	Changelog   InternalKind = "changelog"
	Repartition InternalKind = "repartition"
)

// InternalTopic is a topic the application creates for itself.
type InternalTopic struct {
	Name string       // with the application id
	Kind InternalKind //
	Sub  int          // the sub-topology whose tasks read it
	// Store of a changelog topic.
	Store string
	// Partitions asked for explicitly; 0 = by the tasks.
	Partitions int32
	Config     map[string]string
}

// changelogSlack is how much longer than its store a changelog keeps windows,
// so that a restore some time after a crash still finds them.
const changelogSlack = 24 * time.Hour

// ChangelogTopic is the name of a store's changelog topic.
func ChangelogTopic(app, store string) string { return app + "-" + store + "-changelog" }

// InternalName is the full name of an internal topic of a source or sink.
func InternalName(app, topic string) string { return app + "-" + topic }

// InternalTopics lists the internal topics of the application, by name.
func (t *Topology) InternalTopics(app string) []InternalTopic {
	var out []InternalTopic
	for _, s := range t.stores {
		if s.NoChangelog {
			continue
		}
		out = append(out, InternalTopic{
			Name: ChangelogTopic(app, s.Name), Kind: Changelog, Sub: s.Sub, Store: s.Name,
			Config: changelogConfig(s),
		})
	}
	for _, n := range t.nodes {
		if n.Kind == KindSource && n.Source.Repartition {
			out = append(out, InternalTopic{
				Name: InternalName(app, n.Source.Topics[0]), Kind: Repartition, Sub: n.Sub,
				Partitions: n.Source.Partitions, Config: repartitionConfig(),
			})
		}
	}
	slices.SortFunc(out, func(a, b InternalTopic) int { return compare(a.Name, b.Name) })
	return out
}

func changelogConfig(s *Store) map[string]string {
	c := map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
	if s.Retention > 0 {
		c["cleanup.policy"] = "compact,delete"
		c["retention.ms"] = strconv.FormatInt((s.Retention + changelogSlack).Milliseconds(), 10)
	}
	for k, v := range s.TopicConfig {
		c[k] = v
	}
	return c
}

func repartitionConfig() map[string]string {
	return map[string]string{
		"cleanup.policy": "delete", "message.timestamp.type": "CreateTime",
		"retention.ms": "-1", "segment.bytes": "52428800",
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Topics are the input topics of the sub-topology with the application id put
// before those of repartition topics, in build order.
func (s *Sub) Topics(app string) []string {
	var out []string
	for _, n := range s.Sources {
		for _, t := range n.Source.Topics {
			if n.Source.Repartition {
				t = InternalName(app, t)
			}
			out = append(out, t)
		}
	}
	return out
}
