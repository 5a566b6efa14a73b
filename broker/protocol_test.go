package broker_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// header builds a frame of a header alone.
func header(key, version int16, more ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	return sized(append(b, more...))
}

func sized(frame []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
}

// What is no request closes its connection and disturbs nobody else.
func TestGarbageCloses(t *testing.T) {
	b := brokertest.Start(t, nil)
	other := b.Dial()
	for name, frame := range map[string][]byte{
		"http":                {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '\r', '\n'},
		"2 GiB":               {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"negative size":       {0xff, 0xff, 0xff, 0xff},
		"empty":               {0, 0, 0, 0},
		"short header":        sized([]byte{0, 3, 0, 0}),
		"unknown key":         header(1000, 0, 0xff, 0xff),
		"unknown version":     header(3, 99, 0xff, 0xff),
		"negative version":    header(3, -1, 0xff, 0xff),
		"client id too long":  header(3, 0, 0x7f, 0xff, 'x'),
		"array of 2 billion":  header(3, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
		"inter-broker key":    header(4, 0, 0xff, 0xff),
		"body of 17 MiB":      header(3, 1, append([]byte{0xff, 0xff}, make([]byte, 17<<20)...)...),
		"produce with no end": header(0, 3, 0xff, 0xff, 0, 0),
	} {
		c := b.Dial()
		c.Send(frame)
		if answer, err := c.Receive(); !errors.Is(err, brokertest.ErrClosed) {
			t.Errorf("%s: answered %d bytes (%v), want a closed connection", name, len(answer), err)
		}
	}
	other.MustAsk(kmsg.NewPtrListGroupsRequest())
}

// A client whose version the broker does not know, as it is newer or as it is
// none at all, learns which versions it may use.
func TestUnknownApiVersions(t *testing.T) {
	b := brokertest.Start(t, nil)
	for _, version := range []int16{99, -1} {
		checkUnknownApiVersions(t, b.Dial(), version)
	}
}

func checkUnknownApiVersions(t *testing.T, c *brokertest.Conn, version int16) {
	c.Send(header(18, version, 0xff, 0xff, 0, 1, 2, 3))
	frame, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(frame[4:]); err != nil {
		t.Fatal(err)
	}
	if resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 {
		t.Errorf("version %d: answer %+v", version, resp)
	}
	c.MustAsk(kmsg.NewPtrApiVersionsRequest())
}

// A batch that was damaged on the way is refused, and nothing of it is stored.
func TestWrongChecksum(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	batch := capture(t, b)
	for name, tc := range map[string]struct {
		damage func([]byte)
		want   *kerr.Error
	}{
		"intact":        {func([]byte) {}, nil},
		"checksum":      {func(b []byte) { b[17] ^= 1 }, kerr.CorruptMessage},
		"record":        {func(b []byte) { b[len(b)-2] ^= 1 }, kerr.CorruptMessage},
		"message set 1": {func(b []byte) { b[16] = 1 }, kerr.InvalidRecord},
	} {
		damaged := append([]byte(nil), batch...)
		tc.damage(damaged)
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = 9, -1, 1000
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "a", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 0, Records: damaged}}}}
		resp := b.Dial().MustAsk(req).(*kmsg.ProduceResponse)
		if got := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); !errors.Is(got, tc.want) && !(got == nil && tc.want == nil) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	offsets, err := b.Admin().ListEndOffsets(brokertest.Context(t), "a")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := offsets.Lookup("a", 0); o.Offset != 2 {
		t.Errorf("end offset %d, want the two intact batches", o.Offset)
	}
}

// capture produces one record and fetches the batch that the broker stores.
func capture(t *testing.T, b *brokertest.Broker) []byte {
	t.Helper()
	cl := b.Client(kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := cl.ProduceSync(brokertest.Context(t), &kgo.Record{Topic: "a", Value: []byte("value")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 11, -1, 1<<20, 1, 1000
	req.SessionEpoch = -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes, p.CurrentLeaderEpoch = 1<<20, -1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "a", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	resp := b.Dial().MustAsk(req).(*kmsg.FetchResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Fatalf("fetched %+v", resp)
	}
	return resp.Topics[0].Partitions[0].RecordBatches
}
