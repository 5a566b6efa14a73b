package worker

import (
	"context"
	"sync"

	"github.com/leatstream/leat/connect"
)

// requests hold what a task asked for until the runner looks. They have a lock
// of their own because the task asks from inside calls that hold the runner's.
type requests struct {
	mu     sync.Mutex
	seeks  map[connect.TopicPartition]int64
	commit bool
}

func (q *requests) seek(tp connect.TopicPartition, offset int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seeks == nil {
		q.seeks = map[connect.TopicPartition]int64{}
	}
	q.seeks[tp] = offset
}

func (q *requests) askCommit() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.commit = true
}

func (q *requests) takeSeeks() map[connect.TopicPartition]int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.seeks
	q.seeks = nil
	return s
}

func (q *requests) takeCommit() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.commit
	q.commit = false
	return c
}

// sinkContext implements connect.SinkContext.
type sinkContext struct {
	taskContext
	runner *SinkRunner
}

func (c *sinkContext) RequestOffset(tp connect.TopicPartition, offset int64) {
	c.runner.requests.seek(tp, offset)
}

func (c *sinkContext) RequestCommit() { c.runner.requests.askCommit() }

func (c *sinkContext) Pause(parts ...connect.TopicPartition) {
	c.runner.client.PauseFetchPartitions(byTopic(parts))
}

func (c *sinkContext) Resume(parts ...connect.TopicPartition) {
	c.runner.client.ResumeFetchPartitions(byTopic(parts))
}

// Report finds the bytes the record was made of in the batch at hand; it is
// called from inside Put, when the batch does not change.
func (c *sinkContext) Report(ctx context.Context, rec *connect.Record, cause error) error {
	f := failure{stage: stagePut, origin: rec.Origin, offset: rec.Offset, record: lastWords(rec), err: cause}
	if b := c.runner.batch; b != nil {
		for i, r := range b.records {
			if r.Origin == rec.Origin && r.Offset == rec.Offset {
				f.record = b.raw[i]
				break
			}
		}
	}
	return c.runner.policy.fail(ctx, f)
}

func byTopic(parts []connect.TopicPartition) map[string][]int32 {
	m := map[string][]int32{}
	for _, tp := range parts {
		m[tp.Topic] = append(m[tp.Topic], tp.Partition)
	}
	return m
}
