package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameProduce compares a decoded request with what kmsg has.
func sameProduce(t *testing.T, q *ProduceRequest, k *kmsg.ProduceRequest) {
	t.Helper()
	id, has := "", k.TransactionID != nil
	if has {
		id = *k.TransactionID
	}
	if string(q.TransactionalID) != id || q.HasTransactionalID != has || q.Acks != k.Acks || q.TimeoutMillis != k.TimeoutMillis || len(q.Topics) != len(k.Topics) {
		t.Fatalf("got %+v, want %+v", q, k)
	}
	for i, topic := range q.Topics {
		want := &k.Topics[i]
		parts := q.Partitions[topic.First:topic.End]
		if string(topic.Name) != want.Topic || topic.ID != want.TopicID || len(parts) != len(want.Partitions) {
			t.Fatalf("topic %d: got %+v, want %+v", i, topic, want)
		}
		for j, p := range parts {
			w := &want.Partitions[j]
			if p.Index != w.Partition || !bytes.Equal(p.Records, w.Records) || (p.Records == nil) != (w.Records == nil) {
				t.Fatalf("partition %d of topic %d: got %+v, want %+v", j, i, p, w)
			}
		}
	}
}

func TestProduceRequest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q ProduceRequest
	versions(Produce, func(v int16) {
		for range 200 {
			src := kmsg.NewPtrProduceRequest()
			fill(rng, reflect.ValueOf(src).Elem())
			src.Version = v
			body := src.AppendTo(nil)
			k := kmsg.NewPtrProduceRequest()
			k.Version = v
			if err := k.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			if err := q.Decode(v, append(body, "trailing bytes"...)); err != nil {
				t.Fatalf("version %d: %v", v, err)
			}
			sameProduce(t, &q, k)
			if v > 0 && len(body) > 0 {
				cut := body[:rng.IntN(len(body))]
				if err := q.Decode(v, cut); !errors.Is(err, ErrMalformed) {
					t.Fatalf("version %d: %d of %d bytes gave %v", v, len(cut), len(body), err)
				}
			}
		}
	})
}

// FuzzProduceRequest: what we take, kmsg takes and reads alike. (We refuse more:
// null arrays, overlong strings.)
func FuzzProduceRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	versions(Produce, func(v int16) {
		src := kmsg.NewPtrProduceRequest()
		fill(rng, reflect.ValueOf(src).Elem())
		src.Version = v
		f.Add(v, src.AppendTo(nil))
	})
	f.Add(int16(9), []byte{0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if a, _ := Lookup(Produce); !a.Supports(version) {
			return
		}
		var q ProduceRequest
		if err := q.Decode(version, body); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		k := kmsg.NewPtrProduceRequest()
		k.Version = version
		if err := k.ReadFrom(body); err != nil {
			t.Fatalf("kmsg refuses: %v", err)
		}
		sameProduce(t, &q, k)
	})
}

// flatProduce turns a response of kmsg into ours.
func flatProduce(k *kmsg.ProduceResponse) *ProduceResponse {
	r := &ProduceResponse{ThrottleMillis: k.ThrottleMillis}
	for i := range k.Topics {
		kt := &k.Topics[i]
		t := ProduceResponseTopic{Name: kt.Topic, ID: kt.TopicID, First: len(r.Partitions)}
		for j := range kt.Partitions {
			kp := &kt.Partitions[j]
			p := ProduceResponsePartition{
				Index: kp.Partition, ErrorCode: kp.ErrorCode, BaseOffset: kp.BaseOffset,
				LogAppendTime: kp.LogAppendTime, LogStartOffset: kp.LogStartOffset, ErrorMessage: str(kp.ErrorMessage),
				CurrentLeader: leader(kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch),
			}
			for _, e := range kp.ErrorRecords {
				p.ErrorRecords = append(p.ErrorRecords, RecordError{e.RelativeOffset, str(e.ErrorMessage)})
			}
			r.Partitions = append(r.Partitions, p)
		}
		t.End = len(r.Partitions)
		r.Topics = append(r.Topics, t)
	}
	for _, b := range k.Brokers {
		r.Endpoints = append(r.Endpoints, Endpoint{b.NodeID, b.Host, b.Port, str(b.Rack)})
	}
	return r
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func leader(id, epoch int32) LeaderID {
	if id == -1 && epoch == -1 {
		return LeaderID{}
	}
	return LeaderID{Known: true, ID: id, Epoch: epoch}
}

// nullEmpty makes null of the empty strings that we cannot tell from null.
func nullEmpty(s *string) *string {
	if s == nil || *s == "" {
		return nil
	}
	return s
}

func TestProduceResponse(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	versions(Produce, func(v int16) {
		for range 200 {
			k := kmsg.NewPtrProduceResponse()
			fill(rng, reflect.ValueOf(k).Elem())
			k.Version = v
			if v < produceLeader { // kmsg would write these tags in any flexible version
				k.Brokers = nil
			}
			for i := range k.Topics {
				for j := range k.Topics[i].Partitions {
					p := &k.Topics[i].Partitions[j]
					p.ErrorMessage = nullEmpty(p.ErrorMessage)
					for e := range p.ErrorRecords {
						p.ErrorRecords[e].ErrorMessage = nullEmpty(p.ErrorRecords[e].ErrorMessage)
					}
					if v < produceLeader || rng.IntN(2) == 0 {
						p.CurrentLeader.Default()
					}
				}
			}
			for i := range k.Brokers {
				k.Brokers[i].Rack = nullEmpty(k.Brokers[i].Rack)
			}
			want := k.AppendTo(nil)
			if got := AppendProduceResponse(nil, v, flatProduce(k)); !bytes.Equal(got, want) {
				t.Fatalf("version %d:\n got %x\nwant %x\n%+v", v, got, want, k)
			}
		}
	})
}

func produceBody(topics, partitions int) []byte {
	k := kmsg.NewPtrProduceRequest()
	k.Version, k.Acks = 9, -1
	for range topics {
		kt := kmsg.NewProduceRequestTopic()
		kt.Topic = "a-topic-of-usual-length"
		for p := range partitions {
			kp := kmsg.NewProduceRequestTopicPartition()
			kp.Partition, kp.Records = int32(p), make([]byte, 200)
			kt.Partitions = append(kt.Partitions, kp)
		}
		k.Topics = append(k.Topics, kt)
	}
	return k.AppendTo(nil)
}

func BenchmarkProduceDecode(b *testing.B) {
	for _, c := range []struct {
		name               string
		topics, partitions int
	}{{"1x1", 1, 1}, {"10x100", 10, 100}} {
		b.Run(c.name, func(b *testing.B) {
			body := produceBody(c.topics, c.partitions)
			var q ProduceRequest
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Decode(9, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkProduceEncode(b *testing.B) {
	r := &ProduceResponse{Topics: []ProduceResponseTopic{{Name: "a-topic-of-usual-length", End: 100}}, Partitions: make([]ProduceResponsePartition, 100)}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendProduceResponse(dst[:0], 9, r)
	}
}
