package wire

import "fmt"

// FetchRequest is a decoded Fetch request of any served version. Names are
// views into the body. A value is reusable: Decode overwrites it and keeps the
// capacity of its slices.
type FetchRequest struct {
	Version       int16
	ReplicaID     int32 // -1: a consumer
	ReplicaEpoch  int64 // broker epoch of the follower, -1 when unknown
	MaxWaitMillis int32
	MinBytes      int32
	MaxBytes      int32 // unbounded before version 3
	Isolation     int8
	SessionID     int32
	SessionEpoch  int32
	Rack          []byte
	ClusterID     []byte

	Topics     []FetchTopic
	Partitions []FetchPartition // those of all topics, in request order

	Forgotten           []FetchTopic // ranges of ForgottenPartitions
	ForgottenPartitions []int32
}

// FetchTopic is one topic of a request; its partitions are [First:End] of
// Partitions or ForgottenPartitions.
type FetchTopic struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13 on
	First, End int
}

// FetchPartition says what is wanted of one partition.
type FetchPartition struct {
	Index              int32
	CurrentLeaderEpoch int32 // -1: do not check
	LastFetchedEpoch   int32 // -1: unknown; followers only
	MaxBytes           int32
	FetchOffset        int64
	LogStartOffset     int64 // the follower's, -1 for consumers
	HighWatermark      int64 // the follower's, unknownHighWatermark before version 18
	DirectoryID        [16]byte
}

// unknownHighWatermark is what a fetcher that does not tell its high watermark
// stands for.
const unknownHighWatermark = 1<<63 - 1

// First versions of Fetch that have a field.
const (
	fetchThrottle         = 1
	fetchMaxBytes         = 3
	fetchIsolation        = 4
	fetchLogStart         = 5
	fetchSession          = 7
	fetchLeaderEpoch      = 9
	fetchRack             = 11
	fetchFlexible         = 12
	fetchTopicID          = 13
	fetchReplicaState     = 15
	fetchEndpoints        = 16
	fetchDirectoryID      = 17
	fetchReplicaWatermark = 18
)

// Decode reads body, a Fetch request of version, into q. Bytes after the
// request are ignored.
func (q *FetchRequest) Decode(version int16, body []byte) error {
	r := reader{b: body}
	flexible := version >= fetchFlexible
	q.Reset()
	q.Version = version
	q.ReplicaID, q.ReplicaEpoch, q.MaxBytes, q.SessionEpoch = -1, -1, 1<<31-1, -1
	q.decodeLimits(&r)
	for n := r.count(flexible, q.topicSize()); n > 0 && !r.bad; n-- {
		q.decodeTopic(&r, flexible)
	}
	if version >= fetchSession {
		for n := r.count(flexible, q.topicSize()); n > 0 && !r.bad; n-- {
			q.decodeForgotten(&r, flexible)
		}
	}
	if version >= fetchRack {
		q.Rack = r.string(flexible)
	}
	if flexible {
		q.decodeTags(&r)
	}
	if r.bad {
		return fmt.Errorf("%w: Fetch version %d", ErrMalformed, version)
	}
	return nil
}

// decodeLimits reads what stands before the topics.
func (q *FetchRequest) decodeLimits(r *reader) {
	if q.Version < fetchReplicaState {
		q.ReplicaID = r.int32()
	}
	q.MaxWaitMillis = r.int32()
	q.MinBytes = r.int32()
	if q.Version >= fetchMaxBytes {
		q.MaxBytes = r.int32()
	}
	if q.Version >= fetchIsolation {
		q.Isolation = r.int8()
	}
	if q.Version >= fetchSession {
		q.SessionID = r.int32()
		q.SessionEpoch = r.int32()
	}
}

// topicSize is the least number of bytes of a topic, fetched or forgotten.
func (q *FetchRequest) topicSize() int {
	switch {
	case q.Version >= fetchTopicID:
		return 18
	case q.Version >= fetchFlexible:
		return 3
	}
	return 6
}

// decodeName reads what names a topic.
func (q *FetchRequest) decodeName(r *reader, flexible bool) (t FetchTopic) {
	if q.Version >= fetchTopicID {
		t.ID = r.uuid()
	} else {
		t.Name = r.string(flexible)
	}
	return t
}

func (q *FetchRequest) decodeTopic(r *reader, flexible bool) {
	t := q.decodeName(r, flexible)
	t.First = len(q.Partitions)
	const minSize = 16 // index, offset, max bytes
	for n := r.count(flexible, minSize); n > 0 && !r.bad; n-- {
		q.decodePartition(r, flexible)
	}
	if flexible {
		r.skipTags()
	}
	t.End = len(q.Partitions)
	q.Topics = append(q.Topics, t)
}

func (q *FetchRequest) decodePartition(r *reader, flexible bool) {
	p := FetchPartition{
		Index: r.int32(), CurrentLeaderEpoch: -1, LastFetchedEpoch: -1,
		LogStartOffset: -1, HighWatermark: unknownHighWatermark,
	}
	if q.Version >= fetchLeaderEpoch {
		p.CurrentLeaderEpoch = r.int32()
	}
	p.FetchOffset = r.int64()
	if flexible {
		p.LastFetchedEpoch = r.int32()
	}
	if q.Version >= fetchLogStart {
		p.LogStartOffset = r.int64()
	}
	p.MaxBytes = r.int32()
	if flexible {
		p.decodeTags(r, q.Version)
	}
	q.Partitions = append(q.Partitions, p)
}

// decodeTags reads the tagged fields of a partition. A known tag in a version
// that does not have it is an error; unknown tags are skipped.
func (p *FetchPartition) decodeTags(r *reader, version int16) {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		tag, v := r.nextTag()
		switch tag {
		case 0:
			p.DirectoryID = v.uuid()
			v.bad = v.bad || version < fetchDirectoryID
		case 1:
			p.HighWatermark = v.int64()
			v.bad = v.bad || version < fetchReplicaWatermark
		}
		if v.bad {
			r.fail()
		}
	}
}

func (q *FetchRequest) decodeForgotten(r *reader, flexible bool) {
	t := q.decodeName(r, flexible)
	t.First = len(q.ForgottenPartitions)
	for n := r.count(flexible, 4); n > 0; n-- {
		q.ForgottenPartitions = append(q.ForgottenPartitions, r.int32())
	}
	if flexible {
		r.skipTags()
	}
	t.End = len(q.ForgottenPartitions)
	q.Forgotten = append(q.Forgotten, t)
}

// decodeTags reads the tagged fields of the request, as those of a partition.
func (q *FetchRequest) decodeTags(r *reader) {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		tag, v := r.nextTag()
		switch tag {
		case 0:
			q.ClusterID, _ = v.nullableString(true)
		case 1:
			q.ReplicaID = v.int32()
			q.ReplicaEpoch = v.int64()
			v.skipTags()
			v.bad = v.bad || q.Version < fetchReplicaState
		}
		if v.bad {
			r.fail()
		}
	}
}

// Reset drops all views, so that the frame's bytes are not kept alive, and the
// room of an unusually large request.
func (q *FetchRequest) Reset() {
	*q = FetchRequest{
		Topics: emptied(q.Topics), Partitions: emptied(q.Partitions),
		Forgotten: emptied(q.Forgotten), ForgottenPartitions: emptied(q.ForgottenPartitions),
	}
}
