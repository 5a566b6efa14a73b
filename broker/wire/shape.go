package wire

import "fmt"

// shape says how the fields of a request's flexible versions lie in its body,
// from version since on. Each character is a field:
//
//	1 2 4 8 u    that many bytes; u is the 16 of an id
//	s            a string or byte field with its length
//	( )          an array whose elements have no tagged fields
//	[ ]          an array of structures, { } a structure that may be absent;
//	             the tagged fields of each are not written
//
// The tagged fields of the request itself are not written either.
type shape struct {
	key, since int16
	fields     string
}

// shapes is read-only: the flexible requests that kmsg decodes, by key and
// version.
var shapes = [...]shape{
	{ListOffsets, 6, "41[s[448]]"}, {ListOffsets, 10, "41[s[448]]4"},
	{Metadata, 9, "[s]111"}, {Metadata, 10, "[us]111"}, {Metadata, 11, "[us]11"},
	{OffsetCommit, 8, "s4ss[s[484s]]"}, {OffsetCommit, 10, "s4ss[u[484s]]"},
	{OffsetFetch, 6, "s[s(4)]"}, {OffsetFetch, 7, "s[s(4)]1"}, {OffsetFetch, 8, "[s[s(4)]]1"},
	{OffsetFetch, 9, "[ss4[s(4)]]1"}, {OffsetFetch, 10, "[ss4[u(4)]]1"},
	{FindCoordinator, 3, "s1"}, {FindCoordinator, 4, "1(s)"},
	{JoinGroup, 6, "s44sss[ss]"}, {JoinGroup, 8, "s44sss[ss]s"},
	{Heartbeat, 4, "s4ss"},
	{LeaveGroup, 4, "s[ss]"}, {LeaveGroup, 5, "s[sss]"},
	{SyncGroup, 4, "s4ss[ss]"}, {SyncGroup, 5, "s4ssss[ss]"},
	{DescribeGroups, 5, "(s)1"},
	{ListGroups, 3, ""}, {ListGroups, 4, "(s)"}, {ListGroups, 5, "(s)(s)"},
	{ApiVersions, 3, "ss"}, {ApiVersions, 5, "sss4"},
	{CreateTopics, 5, "[s42[4(4)][ss]]41"},
	{DeleteTopics, 4, "(s)4"}, {DeleteTopics, 6, "[su]4"},
	{DeleteRecords, 2, "[s[48]]4"},
	{InitProducerId, 2, "s4"}, {InitProducerId, 3, "s482"},
	{OffsetForLeaderEpoch, 4, "4[s[444]]"},
	{DescribeConfigs, 4, "[1s(s)]11"},
	{AlterConfigs, 2, "[1s[ss]]1"},
	{AlterReplicaLogDirs, 2, "[s[s(4)]]"},
	{DescribeLogDirs, 2, "[s(4)]"},
	{CreatePartitions, 2, "[s4[(4)]]41"},
	{DeleteGroups, 2, "(s)"},
	{IncrementalAlterConfigs, 1, "[1s[s1s]]1"},
	{DescribeCluster, 0, "1"}, {DescribeCluster, 1, "11"}, {DescribeCluster, 2, "111"},
	{ListConfigResources, 0, ""}, {ListConfigResources, 1, "(1)"},
	{DescribeTopicPartitions, 0, "[s]4{s4}"},
}

// shapeOf returns the fields of a flexible version.
func shapeOf(key, version int16) (fields string, ok bool) {
	for _, s := range shapes {
		if s.key == key && s.since <= version {
			fields, ok = s.fields, true
		}
	}
	return fields, ok
}

// CheckCounts refuses a body whose counts do not fit the bytes that follow, for
// versions that kmsg is to decode. kmsg takes the number of tagged fields as it
// stands and, when the bytes are at their end, goes on counting: a frame of 20
// bytes that announces four thousand million of them holds a processor for a
// minute. Versions without tagged fields always pass. It does not allocate.
func CheckCounts(key, version int16, body []byte) error {
	if a, ok := Lookup(key); !ok || !a.IsFlexible(version) {
		return nil
	}
	fields, ok := shapeOf(key, version)
	if !ok {
		return fmt.Errorf("%w: no shape of key %d version %d", ErrUnsupportedVersion, key, version)
	}
	r := reader{b: body}
	r.skipStruct(fields)
	if r.bad {
		return fmt.Errorf("%w: key %d version %d: a count or length beyond the end", ErrMalformed, key, version)
	}
	return nil
}

// skipStruct skips the fields and the tagged fields of one structure. It stops
// at the first field that does not fit.
func (r *reader) skipStruct(fields string) {
	r.skipFields(fields)
	r.skipTags()
}

func (r *reader) skipFields(fields string) {
	for i := 0; i < len(fields) && !r.bad; i++ {
		switch c := fields[i]; c {
		case '1', '2', '4', '8':
			r.take(int(c - '0'))
		case 'u':
			r.take(16)
		case 's':
			r.bytes(true)
		case '(', '[', '{':
			end := i + closing(fields[i:])
			r.skipGroup(c, fields[i+1:end])
			i = end
		default:
			panic("wire: no field is written " + string(c))
		}
	}
}

// skipGroup skips what stands between brackets.
func (r *reader) skipGroup(open byte, fields string) {
	if open == '{' {
		if r.int8() != -1 {
			r.skipStruct(fields)
		}
		return
	}
	n := r.length(true)
	if n > len(r.b) { // each element takes a byte at least
		r.fail()
	}
	for ; n > 0 && !r.bad; n-- {
		if open == '[' {
			r.skipStruct(fields)
		} else {
			r.skipFields(fields)
		}
	}
}

// closing returns the index of the bracket that closes the first of s.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("wire: unclosed bracket in " + s)
}
