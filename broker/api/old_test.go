package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// message is a message of format 0 or 1, made by kmsg.
func message(magic int8, timestamp int64, key, value string) []byte {
	var b []byte
	if magic == 0 {
		b = (&kmsg.MessageV0{Key: []byte(key), Value: []byte(value)}).AppendTo(nil)
	} else {
		b = (&kmsg.MessageV1{Magic: 1, Timestamp: timestamp, Key: []byte(key), Value: []byte(value)}).AppendTo(nil)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[12:], crc32.ChecksumIEEE(b[16:]))
	return b
}

// oldValues lists "offset/time value" of whole, plain messages; a cut one at the
// end counts as "cut".
func oldValues(t testing.TB, set []byte) (out []string) {
	t.Helper()
	for len(set) > 0 {
		if len(set) < 12 || len(set)-12 < int(binary.BigEndian.Uint32(set[8:])) {
			return append(out, "cut")
		}
		one := set[:12+binary.BigEndian.Uint32(set[8:])]
		set = set[len(one):]
		if one[16] == 0 {
			var v kmsg.MessageV0
			if err := v.ReadFrom(one); err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d %.9s", v.Offset, v.Value))
			continue
		}
		var v kmsg.MessageV1
		if err := v.ReadFrom(one); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d/%d %.9s", v.Offset, v.Timestamp, v.Value))
	}
	return out
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// counter is the sum of a broker topic metric over all topics.
func counter(t *testing.T, b *brokertest.Broker, name string) float64 {
	t.Helper()
	families, err := b.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "kafka_server_brokertopicmetrics_"+name {
			for _, m := range f.Metric {
				if m.Label[0].GetValue() == "" {
					return m.Counter.GetValue()
				}
			}
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestOldFormats: each old version's messages are stored as batches, and come
// back as messages of the reader's format.
func TestOldFormats(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c := b.Dial()
	for version := int16(0); version < 3; version++ {
		magic := int8(version / 2)
		set := append(message(magic, 1000, "k", "a"), message(magic, 2000, "k", "b")...)
		p := appendTo(t, c, produceRequest(version, 1, "t", 0, append(set, set[:20]...)))
		wantCode(t, fmt.Sprint("produce version ", version), p.ErrorCode, nil)
		if p.BaseOffset != 2*int64(version) {
			t.Errorf("version %d: base offset %d", version, p.BaseOffset)
		}
	}
	format0 := []string{"0 a", "1 b", "2 a", "3 b", "4 a", "5 b"}
	format1 := []string{"0/-1 a", "1/-1 b", "2/-1 a", "3/-1 b", "4/1000 a", "5/2000 b"}
	for version := int16(0); version < 4; version++ {
		for from := range int64(7) {
			p := fetched(t, c, fetchRequest(version, "t", 0, from))
			what := fmt.Sprintf("fetch version %d from %d", version, from)
			wantCode(t, what, p.ErrorCode, nil)
			want := format0[from:]
			if version >= 2 {
				want = format1[from:]
			}
			wantList(t, what, oldValues(t, p.RecordBatches), want...)
		}
	}
	p := fetched(t, c, fetchRequest(4, "t", 0, 0))
	if got := fmt.Sprint(values(t, p.RecordBatches)); got != "[a b a b a b]" {
		t.Errorf("as batches: %v", got)
	}
	if n := counter(t, b, "producemessageconversions_total"); n != 6 {
		t.Errorf("%v conversions of produced records, want 6", n)
	}
	if n := counter(t, b, "fetchmessageconversions_total"); n != 84 {
		t.Errorf("%v conversions of fetched records, want 84", n)
	}
}

// TestOldProduceRefusals: errors leave the log as it is.
func TestOldProduceRefusals(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1, "max.message.bytes", "2000")
	b.CreateTopic("c", 1, "cleanup.policy", "compact")
	c := b.Dial()
	good := message(1, 1, "", "v")
	garbled := bytes.Clone(good)
	garbled[len(garbled)-1] ^= 1
	noKey := (&kmsg.MessageV0{Value: []byte("v")}).AppendTo(nil)
	binary.BigEndian.PutUint32(noKey[8:], uint32(len(noKey)-12))
	binary.BigEndian.PutUint32(noKey[12:], crc32.ChecksumIEEE(noKey[16:]))
	for _, tc := range []struct {
		name, topic string
		records     []byte
		err         *kerr.Error
	}{
		{"checksum", "t", garbled, kerr.CorruptMessage},
		{"checksum of the second", "t", append(bytes.Clone(good), garbled...), kerr.CorruptMessage},
		{"batch behind", "t", append(bytes.Clone(good), plain(t, "x")...), kerr.InvalidRecord},
		{"too large", "t", message(1, 1, "", strings.Repeat("x", 3000)), kerr.MessageTooLarge},
		{"no key", "c", noKey, kerr.InvalidRecord},
		{"only a cut message", "t", good[:len(good)-1], nil},
	} {
		p := appendTo(t, c, produceRequest(2, 1, tc.topic, 0, tc.records))
		wantCode(t, tc.name, p.ErrorCode, tc.err)
		if p.BaseOffset != -1 {
			t.Errorf("%s: base offset %d", tc.name, p.BaseOffset)
		}
	}
	if p := appendTo(t, c, produceRequest(2, 1, "t", 0, good)); p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("afterwards: error %d, offset %d", p.ErrorCode, p.BaseOffset)
	}
}

// TestOldFetchLimits: only whole messages are sent; up to version 2 only those
// that fit, from version 3 on the first in any case.
func TestOldFetchLimits(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 2)
	c := b.Dial()
	big := strings.Repeat("x", 1000)
	for partition := range int32(2) {
		wantCode(t, "produce", appendTo(t, c, produceRequest(9, 1, "t", partition, plain(t, big, big, big))).ErrorCode, nil)
	}
	limited := func(version int16, maxBytes int32, offset int64) kmsg.FetchResponseTopicPartition {
		req := fetchRequest(version, "t", 0, offset)
		req.Topics[0].Partitions[0].PartitionMaxBytes = maxBytes
		return fetched(t, c, req)
	}
	for _, tc := range []struct {
		version  int16
		maxBytes int32
		size     int
		offsets  string
	}{
		{0, 100, 0, ""},
		{1, 1500, 1030, "0 xxxxxxxxx"},
		{0, 1030, 1030, "0 xxxxxxxxx"},
		{0, 0, 0, ""},
		{3, 100, 1038, "0/-1 xxxxxxxxx"},
		{3, 2100, 2076, "0/-1 xxxxxxxxx, 1/-1 xxxxxxxxx"},
		{3, 4000, 3114, "0/-1 xxxxxxxxx, 1/-1 xxxxxxxxx, 2/-1 xxxxxxxxx"},
	} {
		p := limited(tc.version, tc.maxBytes, 0)
		set := p.RecordBatches
		if len(set) > 26 && set[16] == 1 { // the time of appending does not matter
			for at := 0; at < len(set); at += 1038 {
				binary.BigEndian.PutUint64(set[at+18:], 1<<64-1)
			}
		}
		wantList(t, fmt.Sprintf("version %d, %d bytes", tc.version, tc.maxBytes), oldValues(t, set), strings.Split(tc.offsets, ", ")...)
		if len(set) != tc.size || p.ErrorCode != 0 {
			t.Errorf("version %d, %d bytes: %d bytes, error %d", tc.version, tc.maxBytes, len(set), p.ErrorCode)
		}
	}
	if p := limited(0, 1100, 2); len(oldValues(t, p.RecordBatches)) != 1 || p.RecordBatches[7] != 2 {
		t.Errorf("the last record of a batch: %d bytes", len(p.RecordBatches))
	}
	// The whole answer is bounded too, and only its first message is free.
	req := fetchRequest(3, "t", 0, 0)
	req.MaxBytes = 1100
	other := req.Topics[0].Partitions[0]
	other.Partition = 1
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, other)
	got := 0
	for _, p := range c.MustAsk(req).(*kmsg.FetchResponse).Topics[0].Partitions {
		got += len(p.RecordBatches)
	}
	if got != 1038 {
		t.Errorf("%d bytes in two partitions, want one message", got)
	}
	// What is read of the first partition takes no room from the second.
	req = fetchRequest(3, "t", 0, 0)
	req.MaxBytes = 2200
	req.Topics[0].Partitions[0].PartitionMaxBytes = 1100
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, other)
	for _, p := range c.MustAsk(req).(*kmsg.FetchResponse).Topics[0].Partitions {
		if len(p.RecordBatches) != 1038 {
			t.Errorf("%d bytes of partition %d, want one message", len(p.RecordBatches), p.Partition)
		}
	}
}

// TestOldFetchRefusals: what cannot be converted is answered with the reason,
// once the reader comes to it.
func TestOldFetchRefusals(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	b.CreateTopic("off", 1, "message.downconversion.enable", "false")
	c := b.Dial()
	opts := record.NewOptions()
	opts.Compression = record.Zstd
	for _, topic := range []string{"t", "off"} {
		wantCode(t, "produce", appendTo(t, c, produceRequest(9, 1, topic, 0, plain(t, "a"))).ErrorCode, nil)
	}
	wantCode(t, "produce zstd", appendTo(t, c, produceRequest(9, 1, "t", 0, batch(t, opts, "b"))).ErrorCode, nil)
	p := fetched(t, c, fetchRequest(1, "t", 0, 0))
	wantCode(t, "before zstd", p.ErrorCode, nil)
	wantList(t, "before zstd", oldValues(t, p.RecordBatches), "0 a")
	p = fetched(t, c, fetchRequest(1, "t", 0, 1))
	wantCode(t, "zstd", p.ErrorCode, kerr.UnsupportedCompressionType)
	if len(p.RecordBatches) > 0 {
		t.Error("records with an error")
	}
	wantCode(t, "forbidden", fetched(t, c, fetchRequest(3, "off", 0, 0)).ErrorCode, kerr.UnsupportedVersion)
	wantCode(t, "forbidden, without records", fetched(t, c, fetchRequest(3, "off", 0, 1)).ErrorCode, kerr.UnsupportedVersion)
	wantCode(t, "a newer client", fetched(t, c, fetchRequest(4, "off", 0, 0)).ErrorCode, nil)
}

// TestOldLogAppendTime: the broker's time reaches the producer's answer and the
// reader of format 1.
func TestOldLogAppendTime(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1, "message.timestamp.type", "LogAppendTime")
	c := b.Dial()
	p := appendTo(t, c, produceRequest(2, 1, "t", 0, append(message(1, 5, "", "a"), message(1, 7, "", "b")...)))
	wantCode(t, "produce", p.ErrorCode, nil)
	if p.LogAppendTime < 1e12 {
		t.Fatalf("log append time %d", p.LogAppendTime)
	}
	got := fetched(t, c, fetchRequest(2, "t", 0, 0)).RecordBatches
	wantList(t, "records", oldValues(t, got), fmt.Sprintf("0/%d a", p.LogAppendTime), fmt.Sprintf("1/%d b", p.LogAppendTime))
	if got[17] != 8 {
		t.Errorf("attributes %d, want LogAppendTime", got[17])
	}
}

// TestOldFetchLarge: an answer larger than what is copied arrives whole.
func TestOldFetchLarge(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 3)
	c := b.Dial()
	req := fetchRequest(2, "t", 0, 0)
	req.Topics[0].Partitions = nil
	for partition := range int32(3) {
		value := strings.Repeat(fmt.Sprint(partition), 200_000)
		wantCode(t, "produce", appendTo(t, c, produceRequest(2, 1, "t", partition, message(1, 1, "", value))).ErrorCode, nil)
		p := fetchTopic("t", partition, 0).Partitions[0]
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	for _, p := range c.MustAsk(req).(*kmsg.FetchResponse).Topics[0].Partitions {
		wantCode(t, "fetch", p.ErrorCode, nil)
		wantList(t, "fetch", oldValues(t, p.RecordBatches), "0/1 "+strings.Repeat(fmt.Sprint(p.Partition), 9))
	}
}
