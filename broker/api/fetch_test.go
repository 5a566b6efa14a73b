package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchRequest asks for one partition without waiting.
func fetchRequest(version int16, topic string, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.SessionEpoch = version, 1<<20, -1
	req.Topics = []kmsg.FetchRequestTopic{fetchTopic(topic, partition, offset)}
	return req
}

func fetchTopic(topic string, partition int32, offset int64) kmsg.FetchRequestTopic {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.Partitions = topic, []kmsg.FetchRequestTopicPartition{p}
	return rt
}

// fetched sends a request for one partition and returns its answer.
func fetched(t testing.TB, c *brokertest.Conn, req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	t.Helper()
	resp := c.MustAsk(req).(*kmsg.FetchResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("answer names %d topics, want one partition; error %d", len(resp.Topics), resp.ErrorCode)
	}
	return resp.Topics[0].Partitions[0]
}

// values lists the values of the records in b.
func values(t testing.TB, b []byte) (out []string) {
	t.Helper()
	for len(b) > 0 {
		one, rest, err := record.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		var it record.Iterator
		if err := it.Reset(one, 0); err != nil {
			t.Fatal(err)
		}
		for it.Next() {
			out = append(out, string(it.Record.Value))
		}
		it.Close()
		b = rest
	}
	return out
}

func TestFetchVersions(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c := b.Dial()
	id := topicID(t, c, "t")
	appendTo(t, c, produceRequest(9, 1, "t", 0, plain(t, "a", "b")))
	for version := int16(0); version <= 18; version++ {
		req := fetchRequest(version, "t", 0, 0)
		req.Topics[0].TopicID = id
		p := fetched(t, c, req)
		what := fmt.Sprintf("version %d", version)
		wantCode(t, what, p.ErrorCode, nil)
		if version < 4 { // see TestFetchOld for the records
			continue
		}
		if got := fmt.Sprint(values(t, p.RecordBatches)); got != "[a b]" {
			t.Errorf("%s: records %v", what, got)
		}
		if p.HighWatermark != 2 || p.LastStableOffset != 2 || version >= 5 && p.LogStartOffset != 0 || p.PreferredReadReplica != -1 || p.AbortedTransactions != nil {
			t.Errorf("%s: %+v", what, p)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c := b.Dial()
	appendTo(t, c, produceRequest(9, 1, "t", 0, plain(t, "a", "b")))
	wantCode(t, "beyond the end", fetched(t, c, fetchRequest(12, "t", 0, 3)).ErrorCode, kerr.OffsetOutOfRange)
	wantCode(t, "negative offset", fetched(t, c, fetchRequest(12, "t", 0, -1)).ErrorCode, kerr.OffsetOutOfRange)
	wantCode(t, "at the end", fetched(t, c, fetchRequest(12, "t", 0, 2)).ErrorCode, nil)
	wantCode(t, "unknown topic", fetched(t, c, fetchRequest(12, "u", 0, 0)).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown partition", fetched(t, c, fetchRequest(12, "t", 5, 0)).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown topic id", fetched(t, c, fetchRequest(13, "", 0, 0)).ErrorCode, kerr.UnknownTopicID)

	epoch := fetchRequest(12, "t", 0, 0)
	epoch.Topics[0].Partitions[0].CurrentLeaderEpoch = 99
	wantCode(t, "leader epoch of the future", fetched(t, c, epoch).ErrorCode, kerr.UnknownLeaderEpoch)

	iso := fetchRequest(12, "t", 0, 0)
	iso.IsolationLevel = 2
	resp := ask[*kmsg.FetchResponse](t, c, iso)
	wantCode(t, "isolation level 2", resp.ErrorCode, kerr.UnknownServerError)
	wantCode(t, "isolation level 2, partition", resp.Topics[0].Partitions[0].ErrorCode, kerr.UnknownServerError)

	committed := fetchRequest(12, "t", 0, 0)
	committed.IsolationLevel = 1
	if p := fetched(t, c, committed); p.AbortedTransactions == nil || len(p.AbortedTransactions) != 0 || len(values(t, p.RecordBatches)) != 2 {
		t.Errorf("read_committed: %+v", p)
	}
}

// TestFetchLimits: at least one batch comes whatever the limits say, but for the
// first versions; further ones only as far as the limits go.
func TestFetchLimits(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 2)
	c := b.Dial()
	for partition := range int32(2) {
		for _, v := range []string{"a", "b", "c"} {
			appendTo(t, c, produceRequest(9, 1, "t", partition, plain(t, strings.Repeat(v, 1000))))
		}
	}
	req := fetchRequest(12, "t", 0, 1)
	req.MaxBytes = 10
	if p := fetched(t, c, req); len(values(t, p.RecordBatches)) != 1 {
		t.Errorf("%d records within 10 bytes, want the first batch", len(values(t, p.RecordBatches)))
	}
	req.MaxBytes = 1 << 20
	req.Topics[0].Partitions[0].PartitionMaxBytes = 2500
	if p := fetched(t, c, req); len(values(t, p.RecordBatches)) != 2 {
		t.Errorf("%d records within 2500 bytes, want 2", len(values(t, p.RecordBatches)))
	}
	two := fetchRequest(12, "t", 0, 0)
	two.MaxBytes = 10
	two.Topics[0].Partitions = append(two.Topics[0].Partitions, fetchTopic("t", 1, 0).Partitions...)
	resp := ask[*kmsg.FetchResponse](t, c, two)
	if parts := resp.Topics[0].Partitions; len(values(t, parts[0].RecordBatches)) != 1 || len(parts[1].RecordBatches) != 0 {
		t.Errorf("sizes %d and %d, want one batch of the first only", len(parts[0].RecordBatches), len(parts[1].RecordBatches))
	}
}

// TestFetchLarge: what comes from files arrives as it was sent, between and
// after what is copied.
func TestFetchLarge(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 4)
	c := b.Dial()
	sizes := []int{100, 200_000, 50, 40_000}
	req := fetchRequest(12, "t", 0, 0)
	req.Topics[0].Partitions = nil
	for i, size := range sizes {
		appendTo(t, c, produceRequest(9, 1, "t", int32(i), plain(t, strings.Repeat(fmt.Sprint(i), size))))
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, fetchTopic("t", int32(i), 0).Partitions...)
	}
	for range 3 {
		resp := ask[*kmsg.FetchResponse](t, c, req)
		for i, p := range resp.Topics[0].Partitions {
			if got := values(t, p.RecordBatches); len(got) != 1 || got[0] != strings.Repeat(fmt.Sprint(i), sizes[i]) {
				t.Errorf("partition %d: %d records", i, len(got))
			}
		}
	}
}

// TestFetchLongPoll: a fetch at the end of the log waits for the next record, or
// for its time to pass.
func TestFetchLongPoll(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("t", 1)
	c, writer := b.Dial(), b.Dial()
	req := fetchRequest(12, "t", 0, 0)
	req.MinBytes, req.MaxWaitMillis = 1, 20_000
	c.Send(brokertest.Frame(req, 7))
	appendTo(t, writer, produceRequest(9, 1, "t", 0, plain(t, "at last")))
	frame, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := brokertest.Decode(req, 7, frame)
	if err != nil {
		t.Fatal(err)
	}
	if got := values(t, resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches); fmt.Sprint(got) != "[at last]" {
		t.Errorf("got %v", got)
	}
	req.Topics[0].Partitions[0].FetchOffset, req.MaxWaitMillis = 1, 30
	begin := time.Now()
	if p := fetched(t, c, req); p.ErrorCode != 0 || len(p.RecordBatches) != 0 {
		t.Errorf("got %+v", p)
	}
	if d := time.Since(begin); d < 30*time.Millisecond {
		t.Errorf("an empty answer after %v", d)
	}
}

// session is a client's view of a fetch session.
type session struct {
	t         *testing.T
	c         *brokertest.Conn
	id, epoch int32
}

// ask sends the next request of the session.
func (s *session) ask(topics []kmsg.FetchRequestTopic, forget ...kmsg.FetchRequestForgottenTopic) *kmsg.FetchResponse {
	s.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.SessionID, req.SessionEpoch = 12, 1<<20, s.id, s.epoch
	req.Topics, req.ForgottenTopics = topics, forget
	resp := ask[*kmsg.FetchResponse](s.t, s.c, req)
	if resp.ErrorCode == 0 {
		s.id = resp.SessionID
		s.epoch++
	}
	return resp
}

// named lists the partitions that an answer names, with their records.
func named(t *testing.T, resp *kmsg.FetchResponse) string {
	t.Helper()
	var out []string
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			out = append(out, fmt.Sprintf("%s%d:%d%v", rt.Topic, p.Partition, p.ErrorCode, values(t, p.RecordBatches)))
		}
	}
	return strings.Join(out, " ")
}

// TestFetchSession: answers name only what has changed, and requests only what
// is to be read elsewhere.
func TestFetchSession(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	b.CreateTopic("b", 1)
	c := b.Dial()
	s := &session{t: t, c: c}
	steps := []struct {
		do     func()
		topics []kmsg.FetchRequestTopic
		forget []kmsg.FetchRequestForgottenTopic
		want   string
	}{
		{nil, []kmsg.FetchRequestTopic{fetchTopic("a", 0, 0), fetchTopic("a", 1, 0)}, nil, "a0:0[] a1:0[]"},
		{nil, nil, nil, ""},
		{func() { appendTo(t, c, produceRequest(9, 1, "a", 0, plain(t, "x"))) }, nil, nil, "a0:0[x]"},
		{nil, nil, nil, "a0:0[x]"}, // the client has not moved on
		{nil, []kmsg.FetchRequestTopic{fetchTopic("a", 0, 1)}, nil, ""},
		{nil, []kmsg.FetchRequestTopic{fetchTopic("b", 0, 0)}, nil, "b0:0[]"},
		{nil, []kmsg.FetchRequestTopic{fetchTopic("nowhere", 0, 0)}, nil, "nowhere0:3[]"},
		{nil, nil, nil, "nowhere0:3[]"}, // errors are repeated
		{func() { b.CreateTopic("nowhere", 1) }, nil, nil, "nowhere0:0[]"},
		{func() {
			appendTo(t, c, produceRequest(9, 1, "a", 1, plain(t, "y")))
			appendTo(t, c, produceRequest(9, 1, "b", 0, plain(t, "z")))
		}, nil, []kmsg.FetchRequestForgottenTopic{{Topic: "a", Partitions: []int32{1}}}, "b0:0[z]"},
	}
	for i, step := range steps {
		if step.do != nil {
			step.do()
		}
		resp := s.ask(step.topics, step.forget...)
		wantCode(t, fmt.Sprint("step ", i), resp.ErrorCode, nil)
		if got := named(t, resp); got != step.want {
			t.Errorf("step %d: answer names %q, want %q", i, got, step.want)
		}
		if resp.SessionID != s.id || s.id == 0 {
			t.Errorf("step %d: session %d", i, resp.SessionID)
		}
	}
}

// TestFetchSessionRotation: partitions that gave records are read last the next
// time, so that a small answer does not starve the others.
func TestFetchSessionRotation(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 3)
	c := b.Dial()
	topics := []kmsg.FetchRequestTopic{}
	for p := range int32(3) {
		topics = append(topics, fetchTopic("a", p, 0))
		appendTo(t, c, produceRequest(9, 1, "a", p, plain(t, fmt.Sprint(p))))
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.Topics = 12, 1, topics
	var order []string
	for epoch := range int32(5) {
		req.SessionEpoch = epoch
		resp := ask[*kmsg.FetchResponse](t, c, req)
		req.SessionID, req.Topics = resp.SessionID, nil
		for _, rt := range resp.Topics {
			for _, p := range rt.Partitions {
				order = append(order, values(t, p.RecordBatches)...)
			}
		}
	}
	if got := strings.Join(order, ""); got != "00120" {
		t.Errorf("partitions gave records in order %s, want 00120", got)
	}
}

func TestFetchSessionErrors(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	s := &session{t: t, c: c}
	s.ask([]kmsg.FetchRequestTopic{fetchTopic("a", 0, 0)})
	good := *s

	s.epoch = 5
	resp := s.ask(nil)
	wantCode(t, "epoch that is not next", resp.ErrorCode, kerr.InvalidFetchSessionEpoch)
	if len(resp.Topics) != 0 || resp.SessionID != 0 {
		t.Errorf("answer to a wrong epoch: %+v", resp)
	}
	s.id, s.epoch = good.id+1, 1
	wantCode(t, "unknown session", s.ask(nil).ErrorCode, kerr.FetchSessionIDNotFound)

	byID := fetchRequest(13, "", 0, 0)
	byID.Topics, byID.SessionID, byID.SessionEpoch = nil, good.id, good.epoch
	wantCode(t, "other way to name topics", ask[*kmsg.FetchResponse](t, c, byID).ErrorCode, kerr.FetchSessionTopicIDError)

	*s = good
	wantCode(t, "next request", s.ask(nil).ErrorCode, nil)
	resp = s.ask(nil, kmsg.FetchRequestForgottenTopic{Topic: "a", Partitions: []int32{0}})
	if resp.ErrorCode != 0 || resp.SessionID != 0 {
		t.Errorf("after forgetting all: %+v", resp)
	}
	*s = session{t: t, c: c, id: good.id, epoch: good.epoch + 2}
	wantCode(t, "session that was emptied", s.ask(nil).ErrorCode, kerr.FetchSessionIDNotFound)
}

// TestFetchSessionOvertaken: a request that waits while the session goes on is
// answered with an error, and the session lives.
func TestFetchSessionOvertaken(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	s := &session{t: t, c: c}
	s.ask([]kmsg.FetchRequestTopic{fetchTopic("a", 0, 0)})
	slow := kmsg.NewPtrFetchRequest()
	slow.Version, slow.MaxBytes, slow.MinBytes, slow.MaxWaitMillis = 12, 1<<20, 1, 20_000
	slow.SessionID, slow.SessionEpoch = s.id, s.epoch
	waiting := b.Dial()
	waiting.Send(brokertest.Frame(slow, 5))
	s.epoch++
	for deadline := time.Now().Add(10 * time.Second); s.ask(nil).ErrorCode != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the session does not go on")
		}
	}
	appendTo(t, c, produceRequest(9, 1, "a", 0, plain(t, "x")))
	frame, err := waiting.Receive()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := brokertest.Decode(slow, 5, frame)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "overtaken request", resp.(*kmsg.FetchResponse).ErrorCode, kerr.InvalidFetchSessionEpoch)
	if got := named(t, s.ask(nil)); got != "a0:0[x]" {
		t.Errorf("the session goes on with %q", got)
	}
}

// TestFetchSessionClose: the final epoch ends the session and is answered in
// full.
func TestFetchSessionClose(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	s := &session{t: t, c: b.Dial()}
	s.ask([]kmsg.FetchRequestTopic{fetchTopic("a", 0, 0)})
	id := s.id
	s.epoch = -1
	if got := named(t, s.ask([]kmsg.FetchRequestTopic{fetchTopic("a", 0, 0)})); got != "a0:0[]" {
		t.Errorf("final answer names %q", got)
	}
	s.id, s.epoch = id, 1
	wantCode(t, "closed session", s.ask(nil).ErrorCode, kerr.FetchSessionIDNotFound)
}

// TestFetchByID: a partition of an unknown topic id is answered as such until
// there is a topic with that id.
func TestFetchByID(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	id := topicID(t, c, "a")
	req := fetchRequest(13, "", 0, 0)
	req.Topics[0].TopicID = id
	unknown := fetchTopic("", 0, 0)
	unknown.TopicID = [16]byte{1, 2, 3}
	req.Topics = append([]kmsg.FetchRequestTopic{unknown}, req.Topics...)
	req.SessionEpoch = 0
	resp := ask[*kmsg.FetchResponse](t, c, req)
	if len(resp.Topics) != 2 || resp.Topics[0].TopicID != id || resp.Topics[1].TopicID != unknown.TopicID {
		t.Fatalf("got %+v, want the topic that was read first", resp.Topics)
	}
	wantCode(t, "known", resp.Topics[0].Partitions[0].ErrorCode, nil)
	wantCode(t, "unknown", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicID)
	req.SessionID, req.SessionEpoch, req.Topics = resp.SessionID, 1, nil
	resp = ask[*kmsg.FetchResponse](t, c, req)
	if len(resp.Topics) != 1 || resp.Topics[0].TopicID != unknown.TopicID {
		t.Errorf("incremental answer: %+v, want the error alone", resp.Topics)
	}
}

// TestFetchSessionWaits: a session that waits with all its partitions quiet is
// woken by a change in any, and names only that. Nothing is lost between looking
// and waiting while producers run.
func TestFetchSessionWaits(t *testing.T) {
	const partitions, each = 40, 25
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", partitions)
	c := b.Dial()
	topics := make([]kmsg.FetchRequestTopic, partitions)
	for p := range topics {
		topics[p] = fetchTopic("a", int32(p), 0)
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.SessionEpoch, req.Topics = 12, 1<<20, 0, topics
	ask := func() *kmsg.FetchResponse {
		resp := ask[*kmsg.FetchResponse](t, c, req)
		if resp.ErrorCode != 0 {
			t.Fatalf("epoch %d: error %d", req.SessionEpoch, resp.ErrorCode)
		}
		req.SessionID, req.Topics = resp.SessionID, nil
		req.SessionEpoch++
		return resp
	}
	for range 3 { // all become quiet
		ask()
	}
	req.MaxWaitMillis, req.MinBytes = 60_000, 1
	producer, produced := b.Dial(), make(chan struct{})
	go func() {
		defer close(produced)
		for i := range partitions * each {
			p := int32(i * 7 % partitions)
			if _, err := producer.Ask(produceRequest(9, 1, "a", p, plain(t, fmt.Sprint(i)))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	offsets, got := make([]int64, partitions), 0
	for got < partitions*each {
		resp := ask()
		for _, rt := range resp.Topics {
			for _, p := range rt.Partitions {
				wantCode(t, "partition", p.ErrorCode, nil)
				n := len(values(t, p.RecordBatches))
				got += n
				offsets[p.Partition] += int64(n)
				req.Topics = append(req.Topics, fetchTopic("a", p.Partition, offsets[p.Partition]))
			}
		}
	}
	<-produced
	for p, offset := range offsets {
		if offset != each {
			t.Errorf("partition %d gave %d records, want %d", p, offset, each)
		}
	}
	// A single change among quiet partitions is all that an answer names.
	req.MaxWaitMillis = 0
	ask()
	ask()
	if resp := ask(); len(resp.Topics) != 0 {
		t.Fatalf("a quiet session names %d topics", len(resp.Topics))
	}
	appendTo(t, producer, produceRequest(9, 1, "a", 17, plain(t, "last")))
	req.MaxWaitMillis = 60_000
	if got := named(t, ask()); got != "a17:0[last]" {
		t.Fatalf("the answer names %q", got)
	}
	req.MaxWaitMillis = 0
	if got := named(t, ask()); got != "a17:0[last]" {
		t.Fatalf("the client has not moved on, and the answer names %q", got)
	}
}

// TestFetchSessionMinBytes: changes that are not enough go on waiting together
// with the partitions that have changed.
func TestFetchSessionMinBytes(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 5)
	c := b.Dial()
	s := &session{t: t, c: c}
	topics := make([]kmsg.FetchRequestTopic, 5)
	for p := range topics {
		topics[p] = fetchTopic("a", int32(p), 0)
	}
	s.ask(topics)
	for range 3 {
		s.ask(nil)
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.SessionID, req.SessionEpoch = 12, 1<<20, s.id, s.epoch
	req.MaxWaitMillis, req.MinBytes = 60_000, 200
	done := make(chan string)
	go func() { done <- named(t, ask[*kmsg.FetchResponse](t, c, req)) }()
	producer := b.Dial()
	for p := range int32(3) {
		appendTo(t, producer, produceRequest(9, 1, "a", p, plain(t, fmt.Sprint(p))))
	}
	if got := <-done; got != "a0:0[0] a1:0[1] a2:0[2]" {
		t.Fatalf("the answer names %q", got)
	}
}
