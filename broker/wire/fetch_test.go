package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameFetch compares a decoded request with what kmsg has.
func sameFetch(t *testing.T, q *FetchRequest, k *kmsg.FetchRequest) {
	t.Helper()
	replica, epoch := k.ReplicaID, int64(-1)
	if q.Version >= fetchReplicaState {
		replica, epoch = k.ReplicaState.ID, k.ReplicaState.Epoch
	}
	got := []any{q.ReplicaID, q.ReplicaEpoch, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.Isolation, q.SessionID, q.SessionEpoch, string(q.Rack), string(q.ClusterID), len(q.Topics), len(q.Forgotten)}
	want := []any{replica, epoch, k.MaxWaitMillis, k.MinBytes, k.MaxBytes, k.IsolationLevel, k.SessionID, k.SessionEpoch, k.Rack, str(k.ClusterID), len(k.Topics), len(k.ForgottenTopics)}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i, topic := range q.Topics {
		w := &k.Topics[i]
		parts := q.Partitions[topic.First:topic.End]
		if string(topic.Name) != w.Topic || topic.ID != w.TopicID || len(parts) != len(w.Partitions) {
			t.Fatalf("topic %d: got %+v, want %+v", i, topic, w)
		}
		for j, p := range parts {
			wp := &w.Partitions[j]
			want := FetchPartition{wp.Partition, wp.CurrentLeaderEpoch, wp.LastFetchedEpoch, wp.PartitionMaxBytes, wp.FetchOffset, wp.LogStartOffset, wp.HighWatermark, wp.ReplicaDirectoryID}
			if p != want {
				t.Fatalf("partition %d of topic %d: got %+v, want %+v", j, i, p, want)
			}
		}
	}
	for i, topic := range q.Forgotten {
		w := &k.ForgottenTopics[i]
		parts := q.ForgottenPartitions[topic.First:topic.End]
		if string(topic.Name) != w.Topic || topic.ID != w.TopicID || len(parts) != len(w.Partitions) || len(parts) > 0 && !reflect.DeepEqual(parts, w.Partitions) {
			t.Fatalf("forgotten topic %d: got %+v %v, want %+v", i, topic, parts, w)
		}
	}
}

// fetchRequest makes a random request without fields that version lacks.
func fetchRequest(rng *rand.Rand, version int16) *kmsg.FetchRequest {
	k := kmsg.NewPtrFetchRequest()
	fill(rng, reflect.ValueOf(k).Elem())
	k.Version = version
	if version < fetchReplicaState {
		k.ReplicaState.Default()
	}
	for i := range k.Topics {
		for j := range k.Topics[i].Partitions {
			p := &k.Topics[i].Partitions[j]
			if version < fetchDirectoryID {
				p.ReplicaDirectoryID = [16]byte{}
			}
			if version < fetchReplicaWatermark {
				p.HighWatermark = unknownHighWatermark
			}
		}
	}
	return k
}

func TestFetchRequest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q FetchRequest
	versions(Fetch, func(v int16) {
		for range 200 {
			body := fetchRequest(rng, v).AppendTo(nil)
			k := kmsg.NewPtrFetchRequest()
			k.Version = v
			if err := k.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			if err := q.Decode(v, append(body, "trailing bytes"...)); err != nil {
				t.Fatalf("version %d: %v", v, err)
			}
			sameFetch(t, &q, k)
			cut := body[:rng.IntN(len(body))]
			if err := q.Decode(v, cut); !errors.Is(err, ErrMalformed) {
				t.Fatalf("version %d: %d of %d bytes gave %v", v, len(cut), len(body), err)
			}
		}
	})
}

// TestFetchForeignTags: a tag that belongs to a later version is refused, one
// that no version knows is skipped.
func TestFetchForeignTags(t *testing.T) {
	k := kmsg.NewPtrFetchRequest()
	k.Version = 12
	k.ReplicaState.ID = 3
	var q FetchRequest
	for v, want := range map[int16]error{12: ErrMalformed, 14: ErrMalformed, 15: nil} {
		k.Version = v
		if err := q.Decode(v, k.AppendTo(nil)); !errors.Is(err, want) {
			t.Errorf("ReplicaState in version %d: %v", v, err)
		}
	}
	k.ReplicaState.Default()
	k.UnknownTags.Set(9, []byte("?"))
	for _, v := range []int16{12, 18} {
		k.Version = v
		if err := q.Decode(v, k.AppendTo(nil)); err != nil {
			t.Errorf("unknown tag in version %d: %v", v, err)
		}
	}
}

func FuzzFetchRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	versions(Fetch, func(v int16) { f.Add(v, fetchRequest(rng, v).AppendTo(nil)) })
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if a, _ := Lookup(Fetch); !a.Supports(version) {
			return
		}
		var q FetchRequest
		if err := q.Decode(version, body); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		k := kmsg.NewPtrFetchRequest()
		k.Version = version
		if err := k.ReadFrom(body); err != nil {
			t.Fatalf("kmsg refuses: %v", err)
		}
		sameFetch(t, &q, k)
	})
}

// encodeFetch encodes a response of kmsg with our pieces.
func encodeFetch(k *kmsg.FetchResponse) []byte {
	v := k.Version
	dst := AppendFetchResponse(nil, v, FetchResponse{k.ThrottleMillis, k.ErrorCode, k.SessionID}, len(k.Topics))
	for i := range k.Topics {
		t := &k.Topics[i]
		dst = AppendFetchTopic(dst, v, t.Topic, t.TopicID, len(t.Partitions))
		for j := range t.Partitions {
			kp := &t.Partitions[j]
			p := FetchResponsePartition{
				Index: kp.Partition, ErrorCode: kp.ErrorCode, HighWatermark: kp.HighWatermark,
				LastStableOffset: kp.LastStableOffset, LogStartOffset: kp.LogStartOffset, PreferredReplica: kp.PreferredReadReplica,
				CurrentLeader: leader(kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch),
			}
			if d := kp.DivergingEpoch; d.Epoch != -1 || d.EndOffset != -1 {
				p.Diverging = EpochEnd{true, d.Epoch, d.EndOffset}
			}
			if kp.AbortedTransactions != nil {
				p.Aborted = []AbortedTransaction{}
			}
			for _, a := range kp.AbortedTransactions {
				p.Aborted = append(p.Aborted, AbortedTransaction{a.ProducerID, a.FirstOffset})
			}
			dst = AppendFetchPartition(dst, v, &p, len(kp.RecordBatches))
			dst = append(dst, kp.RecordBatches...)
			dst = AppendFetchPartitionEnd(dst, v, &p)
		}
		dst = AppendFetchTopicEnd(dst, v)
	}
	var nodes []Endpoint
	for _, b := range k.Brokers {
		nodes = append(nodes, Endpoint{b.NodeID, b.Host, b.Port, str(b.Rack)})
	}
	return AppendFetchResponseEnd(dst, v, nodes)
}

func TestFetchResponse(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	versions(Fetch, func(v int16) {
		for range 200 {
			k := kmsg.NewPtrFetchResponse()
			fill(rng, reflect.ValueOf(k).Elem())
			k.Version = v
			if v < fetchEndpoints { // kmsg would write this tag in any flexible version
				k.Brokers = nil
			}
			for i := range k.Brokers {
				k.Brokers[i].Rack = nullEmpty(k.Brokers[i].Rack)
			}
			for i := range k.Topics {
				for j := range k.Topics[i].Partitions {
					p := &k.Topics[i].Partitions[j]
					p.SnapshotID.Default()
					if rng.IntN(2) == 0 {
						p.CurrentLeader.Default()
						p.AbortedTransactions = nil
					}
					if rng.IntN(2) == 0 {
						p.DivergingEpoch.Default()
					}
				}
			}
			if got, want := encodeFetch(k), k.AppendTo(nil); !bytes.Equal(got, want) {
				t.Fatalf("version %d:\n got %x\nwant %x\n%+v", v, got, want, k)
			}
		}
	})
}

func BenchmarkFetchDecode(b *testing.B) {
	for _, partitions := range []int{0, 1, 1000} {
		b.Run(map[int]string{0: "empty", 1: "1", 1000: "1000"}[partitions], func(b *testing.B) {
			k := kmsg.NewPtrFetchRequest()
			k.Version = 12
			if partitions > 0 {
				kt := kmsg.NewFetchRequestTopic()
				kt.Topic = "a-topic-of-usual-length"
				for p := range partitions {
					kp := kmsg.NewFetchRequestTopicPartition()
					kp.Partition = int32(p)
					kt.Partitions = append(kt.Partitions, kp)
				}
				k.Topics = append(k.Topics, kt)
			}
			body := k.AppendTo(nil)
			var q FetchRequest
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Decode(12, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
