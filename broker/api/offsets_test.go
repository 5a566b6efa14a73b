package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listOffset asks for one partition.
func listOffset(version int16, topic string, partition int32, ts int64) *kmsg.ListOffsetsRequest {
	req := at(version, kmsg.NewPtrListOffsetsRequest())
	req.ReplicaID = -1
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.MaxNumOffsets, p.CurrentLeaderEpoch = partition, ts, 10, -1
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	return req
}

func TestListOffsets(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	cl := b.Client()
	for i := range 3 {
		r := &kgo.Record{Topic: "a", Value: []byte("x"), Timestamp: timestamp(1000 * int64(i+1))}
		if err := cl.ProduceSync(brokertest.Context(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c := b.Dial()
	for _, tc := range []struct {
		version    int16
		topic      string
		partition  int32
		ts         int64
		want       *kerr.Error
		offset, at int64
	}{
		{1, "a", 0, -1, nil, 3, -1},
		{1, "a", 0, -2, nil, 0, -1},
		{1, "a", 0, 0, nil, 0, 1000},
		{5, "a", 0, 1001, nil, 1, 2000},
		{11, "a", 0, 3000, nil, 2, 3000},
		{11, "a", 0, 3001, nil, -1, -1},
		{7, "a", 0, -3, nil, 2, 3000},
		{6, "a", 0, -3, kerr.UnsupportedVersion, -1, -1},
		{8, "a", 0, -4, nil, 0, -1},
		{7, "a", 0, -4, kerr.UnsupportedVersion, -1, -1},
		{11, "a", 0, -9, kerr.UnsupportedVersion, -1, -1},
		{1, "a", 1, -1, kerr.UnknownTopicOrPartition, -1, -1},
		{1, "x", 0, -1, kerr.UnknownTopicOrPartition, -1, -1},
	} {
		what := fmt.Sprintf("v%d %s-%d at %d", tc.version, tc.topic, tc.partition, tc.ts)
		got := ask[*kmsg.ListOffsetsResponse](t, c, listOffset(tc.version, tc.topic, tc.partition, tc.ts)).Topics[0].Partitions[0]
		wantCode(t, what, got.ErrorCode, tc.want)
		if got.Offset != tc.offset || got.Timestamp != tc.at {
			t.Errorf("%s: offset %d at %d, want %d at %d", what, got.Offset, got.Timestamp, tc.offset, tc.at)
		}
	}

	for ts, want := range map[int64][]int64{-1: {3, 0}, -2: {0}, 2000: {1, 0}, 1: {0}, 9999: {0}} {
		got := ask[*kmsg.ListOffsetsResponse](t, c, listOffset(0, "a", 0, ts)).Topics[0].Partitions[0]
		if got.ErrorCode != 0 || !slices.Equal(got.OldStyleOffsets, want) {
			t.Errorf("v0 at %d: %v, error %d, want %v", ts, got.OldStyleOffsets, got.ErrorCode, want)
		}
	}
}

func TestListOffsetsOddRequests(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()

	level := listOffset(2, "a", 0, -1)
	level.IsolationLevel = 2
	wantCode(t, "isolation level 2", ask[*kmsg.ListOffsetsResponse](t, c, level).Topics[0].Partitions[0].ErrorCode, kerr.UnknownServerError)

	twice := listOffset(2, "a", 0, -1)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	for _, topic := range ask[*kmsg.ListOffsetsResponse](t, c, twice).Topics {
		wantCode(t, "partition named twice", topic.Partitions[0].ErrorCode, kerr.InvalidRequest)
	}

	for epoch, want := range map[int32]*kerr.Error{-1: nil, 0: nil, 7: kerr.UnknownLeaderEpoch} {
		req := listOffset(4, "a", 0, -1)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		wantCode(t, fmt.Sprint("leader epoch ", epoch), ask[*kmsg.ListOffsetsResponse](t, c, req).Topics[0].Partitions[0].ErrorCode, want)
	}
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	produced(t, b, "a", 2)
	c := b.Dial()
	for _, tc := range []struct {
		partition      int32
		current, epoch int32
		want           *kerr.Error
		found          int32
		end            int64
	}{
		{0, -1, 0, nil, 0, 2},
		{0, 0, 0, nil, 0, 2},
		{0, 9, 0, kerr.UnknownLeaderEpoch, -1, -1},
		{0, -1, 9, nil, -1, -1},
		{0, -1, -2, nil, -2, 0},
		{1, -1, 0, kerr.UnknownTopicOrPartition, -1, -1},
	} {
		req := at(4, kmsg.NewPtrOffsetForLeaderEpochRequest())
		req.ReplicaID = -1
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = tc.partition, tc.current, tc.epoch
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "a", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
		got := ask[*kmsg.OffsetForLeaderEpochResponse](t, c, req).Topics[0].Partitions[0]
		what := fmt.Sprintf("partition %d, epoch %d as of %d", tc.partition, tc.epoch, tc.current)
		wantCode(t, what, got.ErrorCode, tc.want)
		if got.LeaderEpoch != tc.found || got.EndOffset != tc.end {
			t.Errorf("%s: epoch %d ends at %d, want %d at %d", what, got.LeaderEpoch, got.EndOffset, tc.found, tc.end)
		}
	}
}

// commitOf builds an OffsetCommit of one partition by nobody's member.
func commitOf(version int16, group, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := at(version, kmsg.NewPtrOffsetCommitRequest())
	req.Group, req.Generation, req.RetentionTimeMillis = group, -1, -1
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata, p.LeaderEpoch = partition, offset, kmsg.StringPtr("m"), -1
	out := kmsg.NewOffsetCommitRequestTopic()
	out.Topic, out.Partitions = topic, []kmsg.OffsetCommitRequestTopicPartition{p}
	req.Topics = []kmsg.OffsetCommitRequestTopic{out}
	return req
}

// ready makes sure that groups can be served.
func ready(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	req := at(2, kmsg.NewPtrFindCoordinatorRequest())
	req.CoordinatorKey = "g"
	ctx := brokertest.Context(t)
	for ctx.Err() == nil {
		if resp := ask[*kmsg.FindCoordinatorResponse](t, b.Dial(), req); resp.ErrorCode != 0 {
			continue
		}
		fetch := at(1, kmsg.NewPtrOffsetFetchRequest())
		fetch.Group, fetch.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "any", Partitions: []int32{0}}}
		if resp := ask[*kmsg.OffsetFetchResponse](t, b.Dial(), fetch); resp.Topics[0].Partitions[0].ErrorCode == 0 {
			return
		}
	}
	t.Fatal("no coordinator")
}

func TestOffsetsOfEveryVersion(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	ready(t, b)
	c := b.Dial()
	id := ask[*kmsg.MetadataResponse](t, c, metadataOf(10, false, "a")).Topics[0].TopicID
	for v := int16(0); v <= 10; v++ {
		want := int64(100 + v)
		req := commitOf(v, "g", "a", 1, want)
		req.Topics[0].TopicID = id
		resp := ask[*kmsg.OffsetCommitResponse](t, c, req)
		wantCode(t, fmt.Sprintf("commit v%d", v), resp.Topics[0].Partitions[0].ErrorCode, nil)
		if offset, err := fetchOffset(t, c, v, "g", "a", id, 1); err != nil || offset != want {
			t.Errorf("v%d: offset %d, %v, want %d", v, offset, err, want)
		}
		// A partition without an offset: none, and in version 0 no partition.
		offset, err := fetchOffset(t, c, v, "g", "a", id, 0)
		if offset != -1 || (v == 0) != (err == kerr.UnknownTopicOrPartition) {
			t.Errorf("v%d: offset %d, %v of a partition without", v, offset, err)
		}
	}
	// The tree and the log do not share their offsets.
	if offset, err := fetchOffset(t, c, 0, "g", "a", id, 1); err != nil || offset != 100 {
		t.Errorf("v0 after all: offset %d, %v, want 100", offset, err)
	}
}

// fetchOffset reads one committed offset in the shape of its version.
func fetchOffset(t *testing.T, c *brokertest.Conn, version int16, group, topic string, id [16]byte, partition int32) (int64, error) {
	t.Helper()
	req := at(version, kmsg.NewPtrOffsetFetchRequest())
	if version < 8 {
		req.Group = group
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{partition}}}
		p := ask[*kmsg.OffsetFetchResponse](t, c, req).Topics[0].Partitions[0]
		return p.Offset, kerr.ErrorForCode(p.ErrorCode)
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = group, -1
	g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, TopicID: id, Partitions: []int32{partition}}}
	req.Groups = []kmsg.OffsetFetchRequestGroup{g}
	got := ask[*kmsg.OffsetFetchResponse](t, c, req).Groups[0]
	if version >= 10 && got.Topics[0].TopicID != id {
		t.Errorf("v%d: topic id %v", version, got.Topics[0].TopicID)
	}
	p := got.Topics[0].Partitions[0]
	return p.Offset, kerr.ErrorForCode(p.ErrorCode)
}

func TestOffsetCommitErrors(t *testing.T) {
	b := brokertest.Start(t, map[string]string{"offset.metadata.max.bytes": "10"})
	b.CreateTopic("a", 1)
	ready(t, b)
	c := b.Dial()
	for _, tc := range []struct {
		what string
		req  *kmsg.OffsetCommitRequest
		want *kerr.Error
	}{
		{"no topic", commitOf(8, "g", "x", 0, 1), kerr.UnknownTopicOrPartition},
		{"no partition", commitOf(8, "g", "a", 1, 1), kerr.UnknownTopicOrPartition},
		{"no topic in v0", commitOf(0, "g", "x", 0, 1), kerr.UnknownTopicOrPartition},
		{"no topic id", commitOf(10, "g", "", 0, 1), kerr.UnknownTopicID},
		{"negative offset", commitOf(8, "g", "a", 0, -5), nil},
		{"empty group", commitOf(8, "", "a", 0, 1), nil},
		{"group that is a path", commitOf(0, "a/b", "a", 0, 1), kerr.InvalidGroupID},
		{"no group in v0", commitOf(0, "", "a", 0, 1), kerr.InvalidGroupID},
	} {
		if tc.req.Version == 10 {
			tc.req.Topics[0].TopicID = [16]byte{5}
		}
		wantCode(t, tc.what, ask[*kmsg.OffsetCommitResponse](t, c, tc.req).Topics[0].Partitions[0].ErrorCode, tc.want)
	}
	for _, v := range []int16{0, 8} {
		req := commitOf(v, "g", "a", 0, 1)
		req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr("longer than ten")
		wantCode(t, fmt.Sprintf("metadata in v%d", v), ask[*kmsg.OffsetCommitResponse](t, c, req).Topics[0].Partitions[0].ErrorCode, kerr.OffsetMetadataTooLarge)
	}
}

func TestOffsetFetchAll(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	ready(t, b)
	c := b.Dial()
	for p := range int32(2) {
		c.MustAsk(commitOf(8, "g", "a", p, int64(p)))
	}
	req := at(7, kmsg.NewPtrOffsetFetchRequest())
	req.Group = "g"
	if got := ask[*kmsg.OffsetFetchResponse](t, c, req); len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 2 {
		t.Errorf("v7: %+v", got.Topics)
	}
	for _, v := range []int16{8, 10} {
		many := at(v, kmsg.NewPtrOffsetFetchRequest())
		for _, name := range []string{"g", "other"} {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = name
			many.Groups = append(many.Groups, g)
		}
		got := ask[*kmsg.OffsetFetchResponse](t, c, many)
		if len(got.Groups) != 2 || len(got.Groups[0].Topics) != 1 || len(got.Groups[1].Topics) != 0 {
			t.Errorf("v%d: %+v", v, got.Groups)
		}
		if none := ask[*kmsg.OffsetFetchResponse](t, c, at(v, kmsg.NewPtrOffsetFetchRequest())); len(none.Groups) != 0 {
			t.Errorf("v%d without groups: %+v", v, none.Groups)
		}
	}
}
