package wire

import (
	"encoding/binary"
	"fmt"
)

// ProduceRequest is a decoded Produce request of any served version. Names and
// records are views into the body. A value is reusable: Decode overwrites it
// and keeps the capacity of its slices.
type ProduceRequest struct {
	Version            int16
	TransactionalID    []byte
	HasTransactionalID bool
	Acks               int16
	TimeoutMillis      int32
	Topics             []ProduceTopic
	Partitions         []ProducePartition // those of all topics, in request order
}

// ProduceTopic is one topic of a request; its partitions are
// ProduceRequest.Partitions[First:End].
type ProduceTopic struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13 on
	First, End int
}

// ProducePartition is the data for one partition. Records is nil when the
// client sent null.
type ProducePartition struct {
	Index   int32
	Records []byte
}

// First versions of Produce that have a field.
const (
	produceThrottle      = 1
	produceAppendTime    = 2
	produceTransactional = 3
	produceLogStart      = 5
	produceErrorRecords  = 8
	produceFlexible      = 9
	produceTopicID       = 13
)

// Decode reads body, a Produce request of version, into q. Bytes after the
// request are ignored.
func (q *ProduceRequest) Decode(version int16, body []byte) error {
	flexible := version >= produceFlexible
	r := reader{b: body}
	q.Reset()
	q.Version = version
	if version >= produceTransactional {
		id, null := r.nullableString(flexible)
		q.TransactionalID, q.HasTransactionalID = id, !null
	}
	q.Acks = r.int16()
	q.TimeoutMillis = r.int32()
	for n := r.count(flexible, produceTopicSize(version)); n > 0 && !r.bad; n-- {
		q.decodeTopic(&r, flexible)
	}
	if flexible {
		r.skipTags()
	}
	if r.bad {
		return fmt.Errorf("%w: Produce version %d", ErrMalformed, version)
	}
	return nil
}

// produceTopicSize is the least number of bytes of a topic.
func produceTopicSize(version int16) int {
	switch {
	case version >= produceTopicID:
		return 18
	case version >= produceFlexible:
		return 3
	}
	return 6
}

func (q *ProduceRequest) decodeTopic(r *reader, flexible bool) {
	t := ProduceTopic{First: len(q.Partitions)}
	if q.Version >= produceTopicID {
		t.ID = r.uuid()
	} else {
		t.Name = r.string(flexible)
	}
	minSize := 8
	if flexible {
		minSize = 6
	}
	for n := r.count(flexible, minSize); n > 0 && !r.bad; n-- {
		p := ProducePartition{Index: r.int32()}
		p.Records, _ = r.bytes(flexible)
		if flexible {
			r.skipTags()
		}
		q.Partitions = append(q.Partitions, p)
	}
	if flexible {
		r.skipTags()
	}
	t.End = len(q.Partitions)
	q.Topics = append(q.Topics, t)
}

// maxKept is how many elements a reusable message keeps room for between two
// uses; a rare giant does not hold its memory forever.
const maxKept = 4096

// Reset drops all views, so that the frame's bytes are not kept alive, and the
// room of an unusually large request.
func (q *ProduceRequest) Reset() {
	*q = ProduceRequest{Topics: emptied(q.Topics), Partitions: emptied(q.Partitions)}
}

// emptied clears s for reuse.
func emptied[T any](s []T) []T {
	if cap(s) > maxKept {
		return nil
	}
	clear(s)
	return s[:0]
}

// ProduceResponse is what AppendProduceResponse encodes. Its topics own their
// names, because the answer may be written long after the request's frame was
// given up.
type ProduceResponse struct {
	ThrottleMillis int32
	Topics         []ProduceResponseTopic
	Partitions     []ProduceResponsePartition // those of all topics, in order
	Endpoints      []Endpoint                 // of the leaders named in Partitions
}

// ProduceResponseTopic is one topic of a response; its partitions are
// ProduceResponse.Partitions[First:End].
type ProduceResponseTopic struct {
	Name       string
	ID         [16]byte
	First, End int
}

// ProduceResponsePartition is the outcome for one partition.
type ProduceResponsePartition struct {
	Index          int32
	ErrorCode      int16
	BaseOffset     int64 // -1 with an error
	LogAppendTime  int64 // -1 unless the broker set the timestamps
	LogStartOffset int64 // -1 when unknown
	ErrorRecords   []RecordError
	ErrorMessage   string // empty is sent as null
	CurrentLeader  LeaderID
}

// RecordError names one record of a batch that was refused.
type RecordError struct {
	RelativeOffset int32 // within the batches of the partition
	Message        string
}

// LeaderID tells a client who leads a partition now. The zero value is not
// sent.
type LeaderID struct {
	Known bool
	ID    int32
	Epoch int32
}

// Endpoint is the address of a broker named by a LeaderID.
type Endpoint struct {
	ID   int32
	Host string
	Port int32
	Rack string // empty is sent as null
}

// Reset empties r for reuse and drops its references.
func (r *ProduceResponse) Reset() {
	*r = ProduceResponse{Topics: emptied(r.Topics), Partitions: emptied(r.Partitions), Endpoints: emptied(r.Endpoints)}
}

// AppendProduceResponse appends the body of a Produce response.
func AppendProduceResponse(dst []byte, version int16, r *ProduceResponse) []byte {
	flexible := version >= produceFlexible
	dst = appendCount(dst, len(r.Topics), flexible)
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= produceTopicID {
			dst = append(dst, t.ID[:]...)
		} else {
			dst = appendString(dst, t.Name, flexible)
		}
		dst = appendCount(dst, t.End-t.First, flexible)
		for j := t.First; j < t.End; j++ {
			dst = appendProducePartition(dst, version, &r.Partitions[j])
		}
		if flexible {
			dst = append(dst, 0)
		}
	}
	if version >= produceThrottle {
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.ThrottleMillis))
	}
	if flexible {
		dst = appendEndpoints(dst, r.Endpoints, version >= produceLeader)
	}
	return dst
}

// produceLeader is the first version of Produce that may name current leaders.
const produceLeader = 10

func appendProducePartition(dst []byte, version int16, p *ProduceResponsePartition) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Index))
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.ErrorCode))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.BaseOffset))
	if version >= produceAppendTime {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.LogAppendTime))
	}
	if version >= produceLogStart {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.LogStartOffset))
	}
	if version < produceErrorRecords {
		return dst
	}
	flexible := version >= produceFlexible
	dst = appendCount(dst, len(p.ErrorRecords), flexible)
	for i := range p.ErrorRecords {
		e := &p.ErrorRecords[i]
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.RelativeOffset))
		dst = appendNullableString(dst, e.Message, flexible)
		if flexible {
			dst = append(dst, 0)
		}
	}
	dst = appendNullableString(dst, p.ErrorMessage, flexible)
	if !flexible {
		return dst
	}
	if version < produceLeader || !p.CurrentLeader.Known {
		return append(dst, 0)
	}
	return p.CurrentLeader.appendTag(append(dst, 1), 0)
}
