package group

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
)

// TestRecordBytes holds the bytes against the format's description.
func TestRecordBytes(t *testing.T) {
	tp := record.TopicPartition{Topic: "t", Partition: 3}
	rec := offsetRecord("g", tp, &committed{offset: 5, leaderEpoch: 2, metadata: "m", commitMs: 7, expireMs: -1})
	check := func(name string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s\ngot  %x\nwant %s", name, got, want)
		}
	}
	check("offset key v1", rec.Key, "0001"+"0001"+"67"+"0001"+"74"+"00000003")
	check("offset value v3", rec.Value, "0003"+"0000000000000005"+"00000002"+"0001"+"6d"+"0000000000000007")
	rec = offsetRecord("g", tp, &committed{offset: 5, leaderEpoch: -1, commitMs: 7, expireMs: 9})
	check("offset value v1", rec.Value, "0001"+"0000000000000005"+"0000"+"0000000000000007"+"0000000000000009")
	check("group key", groupKey("g"), "0002"+"0001"+"67")

	g := newGroup("g", time.UnixMilli(9))
	g.generation, g.protocol, g.hasProtocol = 4, "p", true
	instance := "i"
	g.add(&member{
		id: "m", instanceID: &instance, client: Client{ID: "c", Host: "/h"},
		rebalanceTimeout: time.Second, sessionTimeout: 2 * time.Second,
		protocols: []kmsg.JoinGroupRequestProtocol{{Name: "p", Metadata: []byte{1}}},
	}, "consumer")
	check("group value v3", groupRecord(g, map[string][]byte{"m": {2, 3}}).Value,
		"0003"+"0008636f6e73756d6572"+"00000004"+"000170"+"00016d"+"0000000000000009"+"00000001"+
			"00016d"+"000169"+"000163"+"00022f68"+"000003e8"+"000007d0"+"0000000101"+"000000020203")
}

func TestDecodeAllVersions(t *testing.T) {
	for v := int16(0); v <= valueOffsetMax; v++ {
		val := kmsg.OffsetCommitValue{Version: v, Offset: 5, LeaderEpoch: 2, Metadata: "m", CommitTimestamp: 7, ExpireTimestamp: 9}
		e, err := decode(coordinator.Record{Key: offsetKey("g", record.TopicPartition{Topic: "t"}), Value: val.AppendTo(nil)})
		if err != nil {
			t.Fatal(v, err)
		}
		want := committed{offset: 5, leaderEpoch: -1, metadata: "m", commitMs: 7, expireMs: -1}
		if v >= 3 {
			want.leaderEpoch = 2
		}
		if v == 1 {
			want.expireMs = 9
		}
		if *e.offset != want {
			t.Errorf("v%d: %+v, want %+v", v, *e.offset, want)
		}
	}
	for v := int16(0); v <= valueGroupMax; v++ {
		val := kmsg.GroupMetadataValue{Version: v, ProtocolType: "consumer", Generation: 3, Members: []kmsg.GroupMetadataValueMember{
			{MemberID: "m", SessionTimeoutMillis: 5, RebalanceTimeoutMillis: 6, Subscription: []byte{}, Assignment: []byte("a")},
		}}
		s := newShard(DefaultConfig(), func() string { return "" })
		if err := s.Replay(0, coordinator.Record{Key: groupKey("g"), Value: val.AppendTo(nil)}); err != nil {
			t.Fatal(v, err)
		}
		m := s.groups["g"].byID["m"]
		want := 6 * time.Millisecond
		if v == 0 {
			want = 5 * time.Millisecond
		}
		if string(m.assignment) != "a" || m.rebalanceTimeout != want {
			t.Errorf("v%d: %+v", v, m)
		}
	}
}

func TestUnknownRecordsAreRefused(t *testing.T) {
	for _, key := range [][]byte{nil, {0}, {0, 3, 0, 0}, {0xff, 0xff}, {0, 1, 0, 9}} {
		if _, err := decode(coordinator.Record{Key: key, Value: []byte{0, 0}}); err == nil {
			t.Errorf("key %x was taken", key)
		}
	}
	for _, value := range [][]byte{{}, {0}, {0, 5}, {0xff, 0xff}, {0, 3, 1}} {
		if _, err := decode(coordinator.Record{Key: groupKey("g"), Value: value}); err == nil {
			t.Errorf("group value %x was taken", value)
		}
		if _, err := decode(coordinator.Record{Key: offsetKey("g", record.TopicPartition{}), Value: value}); err == nil {
			t.Errorf("offset value %x was taken", value)
		}
	}
}

func FuzzReplay(f *testing.F) {
	g := newGroup("g", time.UnixMilli(9))
	f.Add(groupKey("g"), groupRecord(g, nil).Value)
	f.Add(offsetKey("g", record.TopicPartition{Topic: "t"}), offsetRecord("g", record.TopicPartition{}, &committed{}).Value)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := newShard(DefaultConfig(), func() string { return "" })
		_ = s.Replay(0, coordinator.Record{Key: key, Value: value})
		now := time.UnixMilli(1 << 40)
		s.Loaded(now)
		s.Tick(now.Add(24 * 365 * time.Hour))
		s.Unload(coordinator.ErrNotCoordinator)
	})
}

func FuzzSubscription(f *testing.F) {
	f.Add(subscribe([]string{"a", "b"}))
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		topics, known, err := subscription(b)
		if err != nil && known {
			t.Fatal("known and broken")
		}
		if !known {
			return
		}
		// What is known is exactly what the reference decoder reads.
		var m kmsg.ConsumerMemberMetadata
		v0 := append([]byte{0, 0}, b[2:]...)
		if m.ReadFrom(v0) != nil {
			return // the reference is stricter about what follows the topics
		}
		if len(m.Topics) != len(topics) {
			t.Fatalf("%q, reference %q", topics, m.Topics)
		}
		for i := range topics {
			if !bytes.Equal([]byte(topics[i]), []byte(m.Topics[i])) {
				t.Fatalf("%q, reference %q", topics, m.Topics)
			}
		}
	})
}
