package task

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/topology"
)

// queue holds the fetched records of one input topic.
type queue struct {
	topic  string
	source *topology.Source
	node   *node
	decode processor.Decoder

	records       []Input
	first         int               // records[first:] wait
	head          processor.Message // the first record decoded, nil if not yet
	partitionTime int64             // highest time decoded so far
	position      int64             // next offset to commit, -1 = none yet
	behind        bool              // the topic is known to have more
	missingSince  int64             // when the queue was found empty though behind, -1 = was not
}

func newQueue(topic string, s *topology.Source, n *node) *queue {
	return &queue{topic: topic, source: s, node: n, decode: s.Decode(), partitionTime: processor.NoTime, position: -1, missingSince: -1}
}

func (q *queue) len() int     { return len(q.records) - q.first }
func (q *queue) peek() *Input { return &q.records[q.first] }

// take removes the first record; it stays valid until the next Enqueue.
func (q *queue) take() *Input {
	in := &q.records[q.first]
	q.first++
	return in
}

// Enqueue adds records of an input topic, in order of their offsets. more says
// that the topic has further records which have not been fetched. The task
// keeps the records until they are processed.
func (t *Task) Enqueue(topic string, records []Input, more bool) error {
	q := t.queue(topic)
	if q == nil {
		return fmt.Errorf("task %v: %s: %w", t.cfg.ID, topic, ErrUnknownTopic)
	}
	if q.first == len(q.records) {
		clear(q.records)
		q.records, q.first = q.records[:0], 0
	} else if q.first > 1024 && q.first > len(q.records)/2 {
		n := copy(q.records, q.records[q.first:])
		clear(q.records[n:])
		q.records, q.first = q.records[:n], 0
	}
	q.records = append(q.records, records...)
	q.behind, q.missingSince = more, -1
	return nil
}

func (t *Task) queue(topic string) *queue {
	for _, q := range t.queues {
		if q.topic == topic {
			return q
		}
	}
	return nil
}

// Queued is the number of records waiting in all queues.
func (t *Task) Queued() int {
	n := 0
	for _, q := range t.queues {
		n += q.len()
	}
	return n
}

// QueuedOf is the number of records of one topic that wait.
func (t *Task) QueuedOf(topic string) int {
	if q := t.queue(topic); q != nil {
		return q.len()
	}
	return 0
}

// Topics are the input topics with their full names.
func (t *Task) Topics() []string {
	out := make([]string, len(t.queues))
	for i, q := range t.queues {
		out[i] = q.topic
	}
	return out
}

// Position is where an input topic is to be read from after a restart.
type Position struct {
	Topic    string
	Offset   int64
	Metadata string // commit it with the offset and give it to SetPosition
}

// Positions are the inputs that have been read from.
func (t *Task) Positions() []Position {
	var out []Position
	for _, q := range t.queues {
		if q.position >= 0 {
			out = append(out, Position{q.topic, q.position, encodeTime(q.partitionTime)})
		}
	}
	return out
}

// metadataVersion is the version of Kafka Streams' commit metadata that is
// written: one byte version, eight bytes partition time, and the (empty) count
// of processor metadata, in base64.
const metadataVersion = 2

func encodeTime(partitionTime int64) string {
	raw := binary.BigEndian.AppendUint64([]byte{metadataVersion}, uint64(partitionTime))
	return base64.StdEncoding.EncodeToString(append(raw, 0, 0, 0, 0))
}

// SetPartitionTime takes over the time from the metadata of a committed
// position. Unreadable metadata is ignored: it only sets a start.
func (t *Task) SetPartitionTime(topic, metadata string) {
	q := t.queue(topic)
	raw, err := base64.StdEncoding.DecodeString(metadata)
	if q == nil || err != nil || len(raw) < 9 || (raw[0] != 1 && raw[0] != metadataVersion) {
		return
	}
	q.partitionTime = max(q.partitionTime, int64(binary.BigEndian.Uint64(raw[1:])))
	t.streamTime = max(t.streamTime, q.partitionTime)
}
