package runtime

import (
	"context"
	"errors"
	"time"

	"github.com/leatstream/leat/streams/topology"
	"github.com/twmb/franz-go/pkg/kadm"
)

// idleCheckInterval is how long the result of a check of quiet holds.
const idleCheckInterval = time.Second

// idle makes sure that a task which has had no input for a while really has
// none: that its positions are the ends of its inputs now, and that the group
// has committed all input of the sub-topologies which write to it. Without the
// check, a broker that cannot be reached, or a task upstream that is being
// restored, would look like quiet and close windows on data still to come.
func (t *thread) idle(r *running, now time.Time) bool {
	if now.Sub(r.idleChecked) < idleCheckInterval {
		return r.idleResult
	}
	ctx, cancel := context.WithTimeout(t.ctx, 2*time.Second)
	defer cancel()
	quiet, err := t.checkIdle(ctx, r)
	if err != nil {
		t.log.Debug("quiet of the input cannot be confirmed", "task", r.id.String(), "error", err)
	}
	r.idleChecked, r.idleResult = now, quiet && err == nil
	return r.idleResult
}

func (t *thread) checkIdle(ctx context.Context, r *running) (bool, error) {
	upstream := t.layout.upstream(r.id.Sub)
	topics := append(upstream, r.topics...)
	starts, err1 := t.adm.ListStartOffsets(ctx, topics...)
	ends, err2 := t.adm.ListEndOffsets(ctx, topics...)
	if err := errors.Join(err1, err2, starts.Error(), ends.Error()); err != nil {
		return false, err
	}
	for topic, in := range r.inputs {
		if !reached(in.next, starts, ends, topic, r.id.Partition) {
			return false, nil
		}
	}
	if len(upstream) == 0 {
		return true, nil
	}
	committed, err := t.adm.FetchOffsetsForTopics(ctx, t.app.cfg.App, upstream...)
	if err != nil {
		return false, err
	}
	for _, topic := range upstream {
		for p := range t.layout.partitions[topic] {
			at := int64(-1)
			if o, ok := committed.Lookup(topic, p); ok && o.Err == nil {
				at = o.At
			}
			if !reached(at, starts, ends, topic, p) {
				return false, nil
			}
		}
	}
	return true, nil
}

// reached tells whether position at (-1: none yet) is the end of a partition.
func reached(at int64, starts, ends kadm.ListedOffsets, topic string, p int32) bool {
	start, ok1 := starts.Lookup(topic, p)
	end, ok2 := ends.Lookup(topic, p)
	return ok1 && ok2 && max(at, start.Offset) >= end.Offset
}

// upstream are the input topics of all sub-topologies whose records can reach
// this one through repartition topics.
func (l *layout) upstream(sub int) []string {
	var out []string
	seen := map[int]bool{sub: true}
	for todo := []int{sub}; len(todo) > 0; todo = todo[1:] {
		written := map[string]bool{}
		for _, n := range l.topo.Subs()[todo[0]].Sources {
			if n.Source.Repartition {
				written[n.Source.Topics[0]] = true
			}
		}
		for _, n := range l.topo.Nodes() {
			if n.Kind == topology.KindSink && n.Sink.Repartition && written[n.Sink.Topic] && !seen[n.Sub] {
				seen[n.Sub] = true
				todo = append(todo, n.Sub)
				out = append(out, l.topo.Subs()[n.Sub].Topics(l.app)...)
			}
		}
	}
	return out
}
