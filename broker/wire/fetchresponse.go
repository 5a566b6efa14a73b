package wire

import "encoding/binary"

// A Fetch response is encoded piece by piece, because its records are often not
// in memory: after AppendFetchPartition the caller appends the announced
// number of record bytes, or ends this part of the answer, sends the file slice
// and begins a new part. The order is
//
//	AppendFetchResponse
//	  AppendFetchTopic
//	    AppendFetchPartition, records, AppendFetchPartitionEnd …
//	  AppendFetchTopicEnd …
//	AppendFetchResponseEnd

// FetchResponse is the head of a Fetch response.
type FetchResponse struct {
	ThrottleMillis int32
	ErrorCode      int16
	SessionID      int32
}

// FetchResponsePartition is all of a partition's answer but the records.
type FetchResponsePartition struct {
	Index            int32
	ErrorCode        int16
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	PreferredReplica int32 // -1: none
	// Aborted is sent as null when nil, which is what read_uncommitted gets.
	Aborted       []AbortedTransaction
	CurrentLeader LeaderID
	Diverging     EpochEnd // followers only
}

// AbortedTransaction tells a read_committed consumer which records to skip.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// EpochEnd is the last epoch at which leader and follower may agree and where
// it ends. The zero value is not sent.
type EpochEnd struct {
	Known     bool
	Epoch     int32
	EndOffset int64
}

// AppendFetchResponse appends the head of a response with topics topics.
func AppendFetchResponse(dst []byte, version int16, r FetchResponse, topics int) []byte {
	if version >= fetchThrottle {
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.ThrottleMillis))
	}
	if version >= fetchSession {
		dst = binary.BigEndian.AppendUint16(dst, uint16(r.ErrorCode))
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.SessionID))
	}
	return appendCount(dst, topics, version >= fetchFlexible)
}

// AppendFetchTopic appends the head of a topic with partitions partitions. name
// is used up to version 12, id from version 13 on.
func AppendFetchTopic(dst []byte, version int16, name string, id [16]byte, partitions int) []byte {
	if version >= fetchTopicID {
		dst = append(dst, id[:]...)
	} else {
		dst = appendString(dst, name, version >= fetchFlexible)
	}
	return appendCount(dst, partitions, version >= fetchFlexible)
}

// AppendFetchPartition appends a partition up to the length of its records,
// size bytes of which must follow.
func AppendFetchPartition(dst []byte, version int16, p *FetchResponsePartition, size int) []byte {
	flexible := version >= fetchFlexible
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Index))
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.ErrorCode))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.HighWatermark))
	if version >= fetchIsolation {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.LastStableOffset))
	}
	if version >= fetchLogStart {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.LogStartOffset))
	}
	if version >= fetchIsolation {
		dst = appendAborted(dst, p.Aborted, flexible)
	}
	if version >= fetchRack {
		dst = binary.BigEndian.AppendUint32(dst, uint32(p.PreferredReplica))
	}
	if flexible {
		return binary.AppendUvarint(dst, uint64(size)+1)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

func appendAborted(dst []byte, aborted []AbortedTransaction, flexible bool) []byte {
	if aborted == nil {
		if flexible {
			return append(dst, 0)
		}
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	dst = appendCount(dst, len(aborted), flexible)
	for _, a := range aborted {
		dst = binary.BigEndian.AppendUint64(dst, uint64(a.ProducerID))
		dst = binary.BigEndian.AppendUint64(dst, uint64(a.FirstOffset))
		if flexible {
			dst = append(dst, 0)
		}
	}
	return dst
}

// AppendFetchPartitionEnd appends what follows the records of p.
func AppendFetchPartitionEnd(dst []byte, version int16, p *FetchResponsePartition) []byte {
	if version < fetchFlexible {
		return dst
	}
	tags := byte(0)
	if p.Diverging.Known {
		tags++
	}
	if p.CurrentLeader.Known {
		tags++
	}
	dst = append(dst, tags)
	if p.Diverging.Known {
		dst = append(dst, 0, 13)
		dst = binary.BigEndian.AppendUint32(dst, uint32(p.Diverging.Epoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.Diverging.EndOffset))
		dst = append(dst, 0)
	}
	if p.CurrentLeader.Known {
		dst = p.CurrentLeader.appendTag(dst, 1)
	}
	return dst
}

// AppendFetchTopicEnd appends what follows the partitions of a topic.
func AppendFetchTopicEnd(dst []byte, version int16) []byte {
	if version < fetchFlexible {
		return dst
	}
	return append(dst, 0)
}

// AppendFetchResponseEnd appends what follows the topics: from version 16 on
// the endpoints of the leaders that partitions named.
func AppendFetchResponseEnd(dst []byte, version int16, endpoints []Endpoint) []byte {
	if version < fetchFlexible {
		return dst
	}
	return appendEndpoints(dst, endpoints, version >= fetchEndpoints)
}
