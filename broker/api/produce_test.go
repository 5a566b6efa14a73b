package api_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch makes one record batch with a value per record.
func batch(t testing.TB, opts record.BuilderOptions, values ...string) []byte {
	t.Helper()
	var w record.Builder
	w.Reset(opts)
	for i, v := range values {
		w.Append(time.Now().UnixMilli(), fmt.Append(nil, "key", i), []byte(v))
	}
	b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func plain(t testing.TB, values ...string) []byte { return batch(t, record.NewOptions(), values...) }

// produceRequest asks to append records to one partition.
func produceRequest(version, acks int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 5000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	req.Topics = []kmsg.ProduceRequestTopic{rt}
	return req
}

// appendTo sends a request for one partition and returns its outcome.
func appendTo(t *testing.T, c *brokertest.Conn, req *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	resp := ask[*kmsg.ProduceResponse](t, c, req)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("answer names %+v, want one partition", resp.Topics)
	}
	return resp.Topics[0].Partitions[0]
}

// topicID finds the id of a topic.
func topicID(t *testing.T, c *brokertest.Conn, name string) [16]byte {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = &name
	req.Topics = []kmsg.MetadataRequestTopic{mt}
	resp := ask[*kmsg.MetadataResponse](t, c, req)
	return resp.Topics[0].TopicID
}

// TestProduceVersions appends in every version that can carry batches, with all
// levels of acknowledgement.
func TestProduceVersions(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c := b.Dial()
	id := topicID(t, c, "t")
	next := int64(0)
	for version := int16(0); version <= 13; version++ {
		for _, acks := range []int16{-1, 1} {
			req := produceRequest(version, acks, "t", 0, plain(t, "a", "b"))
			req.Topics[0].TopicID = id
			p := appendTo(t, c, req)
			wantCode(t, fmt.Sprintf("version %d", version), p.ErrorCode, nil)
			if p.BaseOffset != next {
				t.Errorf("version %d, acks %d: base offset %d, want %d", version, acks, p.BaseOffset, next)
			}
			if version >= 2 && p.LogAppendTime != -1 || version >= 5 && p.LogStartOffset != 0 {
				t.Errorf("version %d: log append time %d, log start %d", version, p.LogAppendTime, p.LogStartOffset)
			}
			next += 2
		}
	}
}

// TestProduceRefusals: what cannot be appended gets the error that clients know
// how to take, and nothing is appended.
func TestProduceRefusals(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1, "max.message.bytes", "2000")
	c := b.Dial()
	good := plain(t, "a")
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	oldMessage := oldMessage(1)
	zstd, txn := record.NewOptions(), record.NewOptions()
	zstd.Compression = record.Zstd
	txn.Transactional, txn.ProducerID, txn.ProducerEpoch, txn.BaseSequence = true, 5, 0, 0
	cases := []struct {
		name    string
		version int16
		records []byte
		err     *kerr.Error
	}{
		{"null records", 9, nil, kerr.InvalidRecord},
		{"no records", 9, []byte{}, kerr.InvalidRecord},
		{"no records, old", 2, []byte{}, nil},
		{"null records, old", 2, nil, kerr.InvalidRecord},
		{"wrong CRC", 9, broken, kerr.CorruptMessage},
		{"format 1 in a new version", 9, oldMessage, kerr.InvalidRecord},
		{"format 1, wrong CRC", 2, oldMessage, kerr.CorruptMessage},
		{"format 1, cut", 2, oldMessage[:len(oldMessage)-1], nil},
		{"two batches", 9, append(bytes.Clone(good), good...), kerr.InvalidRecord},
		{"cut", 9, good[:len(good)-1], kerr.InvalidRecord},
		{"zstd too early", 6, batch(t, zstd, "a"), kerr.UnsupportedCompressionType},
		{"too large", 9, plain(t, strings.Repeat("x", 3000)), kerr.MessageTooLarge},
		{"transactional", 9, batch(t, txn, "a"), kerr.TransactionalIDAuthorizationFailed},
	}
	for _, tc := range cases {
		p := appendTo(t, c, produceRequest(tc.version, 1, "t", 0, tc.records))
		wantCode(t, tc.name, p.ErrorCode, tc.err)
		if p.BaseOffset != -1 {
			t.Errorf("%s: base offset %d", tc.name, p.BaseOffset)
		}
	}
	withID := produceRequest(9, 1, "t", 0, batch(t, txn, "a"))
	withID.TransactionID = kmsg.StringPtr("tx")
	wantCode(t, "transaction that was not begun", appendTo(t, c, withID).ErrorCode, kerr.InvalidTxnState)
	wantCode(t, "acks 2", appendTo(t, c, produceRequest(9, 2, "t", 0, good)).ErrorCode, kerr.InvalidRequiredAcks)
	wantCode(t, "unknown topic", appendTo(t, c, produceRequest(9, 1, "u", 0, good)).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown partition", appendTo(t, c, produceRequest(9, 1, "t", 7, good)).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown topic id", appendTo(t, c, produceRequest(13, 1, "", 0, good)).ErrorCode, kerr.UnknownTopicID)
	b.CreateTopic("u", 1)
	p := appendTo(t, c, produceRequest(9, 1, "t", 0, append(bytes.Clone(good), good[:30]...)))
	wantCode(t, "batch with a cut one behind it", p.ErrorCode, nil)
	if p.BaseOffset != 0 {
		t.Errorf("first offset %d: something of the refused was appended", p.BaseOffset)
	}
}

// oldMessage is a message of format 0 or 1 with a value and no key, and with a
// wrong checksum.
func oldMessage(magic byte) []byte {
	body := []byte{0, 0, 0, 0, magic, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'v'}
	m := binary.BigEndian.AppendUint32(make([]byte, 8), uint32(len(body)))
	return append(m, body...)
}

// TestProduceWithoutAcks: success is silent, an error closes the connection.
func TestProduceWithoutAcks(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c := b.Dial()
	c.Send(brokertest.Frame(produceRequest(9, 0, "t", 0, plain(t, "a")), 1))
	if p := appendTo(t, c, produceRequest(9, 1, "t", 0, plain(t, "b"))); p.BaseOffset != 1 {
		t.Errorf("offset after a silent append: %d, want 1", p.BaseOffset)
	}
	c.Send(brokertest.Frame(produceRequest(9, 0, "nowhere", 0, plain(t, "c")), 2))
	if _, err := c.Receive(); !errors.Is(err, brokertest.ErrClosed) {
		t.Errorf("after an error without acks: %v", err)
	}
}

// TestProduceManyPartitions: each partition has its own outcome, in the order of
// the request.
func TestProduceManyPartitions(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	b.CreateTopic("b", 1)
	c := b.Dial()
	req := produceRequest(11, -1, "a", 1, plain(t, "1"))
	more := produceRequest(11, -1, "b", 9, plain(t, "2")).Topics[0]
	more.Partitions = append(more.Partitions, produceRequest(11, -1, "b", 0, plain(t, "3", "4")).Topics[0].Partitions[0])
	req.Topics = append(req.Topics, more)
	resp := ask[*kmsg.ProduceResponse](t, c, req)
	var got []string
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			got = append(got, fmt.Sprint(rt.Topic, p.Partition, p.ErrorCode, p.BaseOffset))
		}
	}
	if want := "[a1 0 0 b9 3 -1 b0 0 0]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestProduceNullKeys: the records that a compacted topic refuses are named.
func TestProduceNullKeys(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("compacted", 1, "cleanup.policy", "compact")
	var w record.Builder
	w.Reset(record.NewOptions())
	w.Append(time.Now().UnixMilli(), []byte("k"), nil)
	w.Append(time.Now().UnixMilli(), nil, []byte("v"))
	records, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := appendTo(t, b.Dial(), produceRequest(9, 1, "compacted", 0, records))
	wantCode(t, "record without a key", p.ErrorCode, kerr.InvalidRecord)
	if len(p.ErrorRecords) != 1 || p.ErrorRecords[0].RelativeOffset != 1 || p.ErrorMessage == nil {
		t.Errorf("refused records: %+v, message %v", p.ErrorRecords, p.ErrorMessage)
	}
}

// TestProduceMetrics: what went in is counted per topic and in all.
func TestProduceMetrics(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c := b.Dial()
	appendTo(t, c, produceRequest(9, 1, "t", 0, plain(t, "a", "b", "c")))
	families, err := b.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "kafka_server_brokertopicmetrics_messagesin_total" {
			for _, m := range f.Metric {
				got[m.Label[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if got["t"] != 3 || got[""] != 3 {
		t.Errorf("messages in by topic: %v", got)
	}
}
