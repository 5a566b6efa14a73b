package api

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
)

// First versions of Produce with a rule of their own.
const (
	produceBatches = 3  // exactly one batch of format 2 per partition
	produceZstd    = 7  // zstd is allowed
	produceLeader  = 10 // answers name the current leader
	produceTopicID = 13 // topics are named by id
)

var (
	errNoRecords     = refuse(kerr.InvalidRecord, "a partition needs exactly one record batch")
	errOldBatch      = refuse(kerr.InvalidRecord, "record batches must be of message format 2")
	errBaseOffset    = refuse(kerr.InvalidRecord, "the base offset of a produced batch must be 0")
	errEarlyZstd     = refuse(kerr.UnsupportedCompressionType, "zstd needs Produce version 7")
	errNoTransaction = refuse(kerr.InvalidTxnState, "the producer has no transaction open")
	errProducerID    = refuse(kerr.TransactionalIDAuthorizationFailed, "transactional records need a transactional id that the client may write to")
)

// produceCall is one Produce request on its way to its answer. Calls are
// reused: once their slices have grown a request allocates nothing.
type produceCall struct {
	a     *API
	r     *server.Request
	req   wire.ProduceRequest
	image *metadata.Image
	resp  wire.ProduceResponse
	// app holds the partitions that may be appended to, and rows for each of
	// them its place in resp.Partitions.
	app  replica.AppendRequest
	rows []int
	// converted tells for each entry of app whether its records came in an older
	// format. It is empty for versions that have no other format.
	converted []bool
	// refused is why an entry of resp failed, by place; used with acks=0.
	refused error
	out     []byte

	appended func([]replica.AppendResult) // c.finish
	released func()                       // c.release
}

// producePool holds calls that are not in use.
type producePool struct{ pool sync.Pool }

func (p *producePool) get(a *API, r *server.Request) *produceCall {
	c, ok := p.pool.Get().(*produceCall)
	if !ok {
		c = new(produceCall)
		c.appended, c.released = c.finish, c.release
	}
	c.a, c.r = a, r
	return c
}

// release returns the call once its answer was written.
func (c *produceCall) release() {
	a := c.a
	c.a, c.r, c.image, c.refused = nil, nil, nil, nil
	c.resp.Reset()
	clear(c.app.Results[:cap(c.app.Results)])
	c.app.Results = c.app.Results[:0]
	if cap(c.out) > maxKeptAnswer {
		c.out = nil
	}
	a.produces.pool.Put(c)
}

// maxKeptAnswer bounds the memory that a call keeps for its next answer.
const maxKeptAnswer = 256 << 10

// view is b as a string that lives as long as b does.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// produce appends record batches. The bytes of the request are checked, patched
// and written where they are; no record is decoded.
func (a *API) produce(r *server.Request) {
	c := a.produces.get(a, r)
	if err := c.req.Decode(r.Header.Version, r.Body); err != nil {
		c.req.Reset()
		c.release()
		r.Close(err)
		return
	}
	c.image = a.Images.Load()
	c.app.Acks = c.req.Acks
	c.app.Timeout = time.Duration(c.req.TimeoutMillis) * time.Millisecond
	for i := range c.req.Topics {
		c.addTopic(&c.req.Topics[i])
	}
	if c.transactional() {
		c.refuseAll(c.transactionError())
	}
	if len(c.app.Entries) == 0 {
		c.finish(nil)
		return
	}
	// The call may be answered, and used for another request, before Append
	// returns: nothing of it may be touched afterwards.
	a.Replicas.Append(&c.app, c.appended)
}

// addTopic checks one topic and its partitions: what can be appended goes to
// app, what cannot is answered in resp.
func (c *produceCall) addTopic(t *wire.ProduceTopic) {
	if t.First == t.End {
		return // the answer lists topics by their partitions
	}
	name, err := c.resolve(t)
	out := wire.ProduceResponseTopic{Name: name, ID: t.ID, First: len(c.resp.Partitions)}
	for _, p := range c.req.Partitions[t.First:t.End] {
		row := len(c.resp.Partitions)
		c.resp.Partitions = append(c.resp.Partitions, wire.ProduceResponsePartition{
			Index: p.Index, BaseOffset: -1, LogAppendTime: -1, LogStartOffset: -1,
		})
		if batch, converted, err := c.check(name, p, err); err != nil {
			c.refuse(row, err)
			if errors.Is(err, errBaseOffset) { // Kafka finds it inside of the log
				c.tellLogStart(row, record.TopicPartition{Topic: name, Partition: p.Index})
			}
		} else if batch != nil {
			if c.req.Version < produceBatches {
				c.converted = append(c.converted, converted)
			}
			c.rows = append(c.rows, row)
			c.app.Entries = append(c.app.Entries, replica.AppendEntry{
				TP: record.TopicPartition{Topic: name, Partition: p.Index}, TopicID: t.ID, Batches: batch,
			})
		}
	}
	out.End = len(c.resp.Partitions)
	c.resp.Topics = append(c.resp.Topics, out)
}

// resolve finds the topic's name, as a string that outlives the request, and
// whether the client may write to it.
func (c *produceCall) resolve(t *wire.ProduceTopic) (string, error) {
	var topic *metadata.Topic
	var ok bool
	if c.req.Version >= produceTopicID {
		if topic, ok = c.image.TopicByID(t.ID); !ok {
			return "", replica.ErrUnknownTopicID
		}
	} else if topic, ok = c.image.Topic(view(t.Name)); !ok {
		name := string(t.Name)
		if !c.a.mayUse(c.r, auth.Write, name) {
			return name, errTopicDenied
		}
		return name, replica.ErrUnknownPartition
	}
	if !c.a.mayUse(c.r, auth.Write, topic.Name) {
		return topic.Name, errTopicDenied
	}
	return topic.Name, nil
}

// mayUse is authorized for a topic, at no cost when there is no authorizer.
func (a *API) mayUse(r *server.Request, op auth.Operation, topic string) bool {
	if _, open := a.Authorizer.(auth.AllowAll); open {
		return true
	}
	return a.authorized(r, op, auth.Topic, topic)
}

// check returns the batches to append, and whether they were converted. Neither
// batches nor an error means that there is nothing to do.
func (c *produceCall) check(name string, p wire.ProducePartition, topicErr error) (batches []byte, converted bool, err error) {
	if topicErr != nil {
		return nil, false, topicErr
	}
	if _, ok := c.image.Partition(name, p.Index); !ok {
		return nil, false, replica.ErrUnknownPartition
	}
	if p.Records == nil {
		return nil, false, errNoRecords
	}
	if c.req.Version < produceBatches {
		defer c.a.beginConversion()()
		return oldRecords(p.Records, c.levels(name))
	}
	batches, err = oneBatch(p.Records, c.req.Version)
	return batches, false, err
}

// oneBatch takes the one batch that a partition may carry. What follows it is
// dropped when it is no whole batch.
func oneBatch(b []byte, version int16) ([]byte, error) {
	batch, rest, err := record.Next(b)
	switch {
	case errors.Is(err, record.ErrUnsupportedFormat):
		return nil, errOldBatch
	case errors.Is(err, record.ErrTruncated) || err == nil && batch == nil:
		return nil, errNoRecords
	case err != nil:
		return nil, err
	case version < produceZstd && batch.Compression() == record.Zstd:
		return nil, errEarlyZstd
	case batch.BaseOffset() != 0:
		return nil, errBaseOffset
	}
	switch next, _, err := record.Next(rest); {
	case next != nil || errors.Is(err, record.ErrUnsupportedFormat):
		return nil, errNoRecords
	case err != nil && !errors.Is(err, record.ErrTruncated):
		return nil, err
	}
	return batch, nil
}

// transactional reports whether a batch belongs to a transaction.
func (c *produceCall) transactional() bool {
	for i := range c.app.Entries {
		if b := record.Batch(c.app.Entries[i].Batches); len(b) >= record.HeaderSize && b.IsTransactional() {
			return true
		}
	}
	return false
}

// transactionError is why no batch of the request is taken: a transaction that
// this broker never began would never end, and hide all later records from
// read_committed readers.
func (c *produceCall) transactionError() error {
	if !c.req.HasTransactionalID || !c.a.authorized(c.r, auth.Write, auth.TransactionalID, string(c.req.TransactionalID)) {
		return errProducerID
	}
	return errNoTransaction
}

// refuseAll refuses everything that was about to be appended.
func (c *produceCall) refuseAll(err error) {
	for _, row := range c.rows {
		c.refuse(row, err)
	}
	clear(c.app.Entries)
	c.app.Entries, c.rows, c.converted = c.app.Entries[:0], c.rows[:0], c.converted[:0]
}

// refuse answers the partition at row with an error.
func (c *produceCall) refuse(row int, err error) {
	p := &c.resp.Partitions[row]
	p.ErrorCode = code(err)
	if c.refused == nil {
		c.refused = err
	}
	var bad *record.InvalidError
	if errors.As(err, &bad) && len(bad.Records) > 0 {
		p.ErrorMessage = bad.Error()
		for _, e := range bad.Records {
			p.ErrorRecords = append(p.ErrorRecords, wire.RecordError{RelativeOffset: int32(e.Index), Message: e.Message})
		}
	}
}

// finish takes the outcome of the append and answers.
func (c *produceCall) finish(results []replica.AppendResult) {
	for i := range results {
		c.result(c.rows[i], &c.app.Entries[i], &results[i])
		if len(c.converted) > 0 && c.converted[i] && results[i].Err == nil {
			c.a.topics.converted(c.app.Entries[i].TP.Topic, produceConversions, results[i].Info.Records)
		}
	}
	c.app.Results = results
	clear(c.app.Entries) // the request's bytes are given up
	c.app.Entries, c.rows, c.converted = c.app.Entries[:0], c.rows[:0], c.converted[:0]
	c.req.Reset()
	c.answer()
}

// result answers the partition at row.
func (c *produceCall) result(row int, e *replica.AppendEntry, res *replica.AppendResult) {
	p := &c.resp.Partitions[row]
	done := res.Err == nil || errors.Is(res.Err, replica.ErrTimedOut) || errors.Is(res.Err, replica.ErrNotEnoughReplicasAfterAppend)
	if done {
		p.BaseOffset = res.Info.FirstOffset
		p.LogAppendTime = res.Info.LogAppendTime
		p.LogStartOffset = res.Info.LogStartOffset
	}
	c.a.topics.produced(e.TP.Topic, &res.Info, len(e.Batches), done)
	if res.Err == nil {
		return
	}
	err := c.a.notHosted(e.TP, res.Err)
	c.refuse(row, err)
	if !done && tellsLogStart(err) {
		c.tellLogStart(row, e.TP)
	}
	if p.ErrorCode == kerr.NotLeaderForPartition.Code && c.r.Header.Version >= produceLeader {
		p.CurrentLeader = c.a.leaderOf(c.image, e.TP, listener(c.r), &c.resp.Endpoints)
	}
}

// tellLogStart adds the log's start to the answer at row.
func (c *produceCall) tellLogStart(row int, tp record.TopicPartition) {
	if info, ok := c.a.Replicas.Partition(tp); ok {
		c.resp.Partitions[row].LogStartOffset = info.LogStartOffset
	}
}

// tellsLogStart reports whether Kafka sends the log's start with an error: with
// those that are found inside of the log.
func tellsLogStart(err error) bool {
	for _, without := range [...]error{
		replica.ErrNotLeader, replica.ErrUnknownPartition, replica.ErrUnknownTopicID, replica.ErrInconsistentTopicID,
		replica.ErrNotEnoughReplicas, replica.ErrStorage, replica.ErrInvalidRequiredAcks, replica.ErrInvalidTopic,
		commitlog.ErrMessageTooLarge, commitlog.ErrRecordListTooLarge, commitlog.ErrCorruptBatch, commitlog.ErrStorage,
	} {
		if errors.Is(err, without) {
			return false
		}
	}
	return true
}

// leaderOf names the leader of a partition and adds its address to endpoints.
func (a *API) leaderOf(image *metadata.Image, tp record.TopicPartition, listener string, endpoints *[]wire.Endpoint) wire.LeaderID {
	p, ok := image.Partition(tp.Topic, tp.Partition)
	if !ok {
		return wire.LeaderID{}
	}
	if b, ok := image.Broker(p.Leader); ok {
		addEndpoint(endpoints, b, listener)
	}
	return wire.LeaderID{Known: true, ID: p.Leader, Epoch: p.LeaderEpoch}
}

// addEndpoint adds the address of b unless it is there.
func addEndpoint(endpoints *[]wire.Endpoint, b *metadata.Broker, listener string) {
	for _, e := range *endpoints {
		if e.ID == b.ID {
			return
		}
	}
	if e, ok := b.Endpoint(listener); ok {
		rack := ""
		if b.Rack != nil {
			rack = *b.Rack
		}
		*endpoints = append(*endpoints, wire.Endpoint{ID: b.ID, Host: e.Host, Port: e.Port, Rack: rack})
	}
}

// errUnanswered closes the connection of a producer that wants no answers: how
// else would it learn of an error?
var errUnanswered = errors.New("produce failed and the client wants no answer")

// answer sends the response.
func (c *produceCall) answer() {
	r := c.r
	if c.app.Acks == 0 {
		err := c.refused
		topics := c.failedTopics(err)
		c.release()
		if err != nil {
			r.Close(fmt.Errorf("%w: client %q, %s: %w", errUnanswered, r.Header.ClientID, topics, err))
			return
		}
		r.NoReply()
		return
	}
	c.out = wire.AppendProduceResponse(c.out[:0], r.Header.Version, &c.resp)
	r.Reply(server.Response{Body: c.out, Release: c.released})
}

// maxNamedTopics bounds how many topics a log line names.
const maxNamedTopics = 5

// failedTopics names topics for the log.
func (c *produceCall) failedTopics(err error) string {
	if err == nil {
		return ""
	}
	var names []string
	for i := range min(len(c.resp.Topics), maxNamedTopics) {
		names = append(names, c.resp.Topics[i].Name)
	}
	return "topics " + strings.Join(names, ", ")
}
