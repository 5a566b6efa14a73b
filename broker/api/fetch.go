package api

import (
	"errors"
	"math"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
)

// First versions of Fetch with a rule of their own.
const (
	fetchSoftLimit = 3  // the first batch is sent whatever the limits say
	fetchBatches   = 4  // clients read batches of format 2
	fetchStorage   = 6  // clients know KAFKA_STORAGE_ERROR
	fetchZstd      = 10 // zstd is allowed
	fetchTopicID   = 13 // topics are named by id
	fetchLeader    = 16 // answers name the current leader
)

const (
	// fileMin is from how many bytes on the records of a partition are sent
	// from their file instead of being copied into the answer.
	fileMin = 32 << 10
	// copyLimit is how large the copied part of an answer grows before all
	// partitions of at least fileMinFull bytes are sent from their files.
	copyLimit   = 1 << 20
	fileMinFull = 4 << 10
)

var (
	errIsolation    = refuse(kerr.UnknownServerError, "unknown isolation level")
	errDownConvert  = refuse(kerr.UnsupportedVersion, "the topic forbids conversion to message formats 0 and 1 (message.downconversion.enable)")
	errFetchZstd    = refuse(kerr.UnsupportedCompressionType, "zstd needs Fetch version 10")
	errStorageMoved = refuse(kerr.NotLeaderForPartition, "the log directory is off line")
)

// fetchCall is one Fetch request on its way to its answer. Calls are reused:
// once their slices have grown a request without a new session allocates
// nothing.
type fetchCall struct {
	a     *API
	r     *server.Request
	req   wire.FetchRequest
	image *metadata.Image
	// follower: the request comes from a replica, not from a consumer.
	follower bool
	session  *fetchSession // nil without one
	opens    bool          // a session is to be opened by the answer
	epoch    int32         // that session must still have when it is answered
	idle     int           // partitions of the session that are watched instead of read
	deadline time.Time     // of the wait

	items []fetchItem
	read  replica.FetchRequest

	// For clients of older message formats: batches as stored, what they became
	// and how many bytes more may be sent.
	raw, old []byte
	left     int
	oldSent  bool

	out   []byte
	cuts  []fileCut
	parts []server.Part
	abort []wire.AbortedTransaction
	nodes []wire.Endpoint

	fetched  func(replica.FetchResult) // c.finish
	released func()                    // c.release
}

// fetchItem is one partition of the answer.
type fetchItem struct {
	key  partitionKey
	name string // empty: the topic id is unknown
	want wire.FetchPartition
	err  error             // why it is not read
	part *sessionPartition // of an incremental request

	answer  wire.FetchResponsePartition
	records *replica.FetchPartition // nil when it was not read
	// old is sent instead of the records once they were converted.
	old       []byte
	converted bool
	skip      bool // nothing new: left out of the answer
}

// size is the number of record bytes.
func (i *fetchItem) size() int {
	if i.records == nil || i.answer.ErrorCode != 0 {
		return 0
	}
	if i.converted {
		return len(i.old)
	}
	return i.records.Records.Size()
}

// fileCut says that the records of an item come from a file, or from memory of
// their own, at a place of the answer.
type fileCut struct{ at, item int }

// fetchPool holds calls that are not in use.
type fetchPool struct{ pool sync.Pool }

func (p *fetchPool) get(a *API, r *server.Request) *fetchCall {
	c, ok := p.pool.Get().(*fetchCall)
	if !ok {
		c = new(fetchCall)
		c.fetched, c.released = c.finish, c.release
	}
	c.a, c.r = a, r
	return c
}

// release gives back the records and the call once the answer was written.
func (c *fetchCall) release() {
	for i := range c.read.Partitions {
		c.read.Partitions[i].Records.Release()
	}
	clear(c.read.Partitions)
	a := c.a
	clear(c.items)
	clear(c.parts)
	clear(c.read.Entries)
	c.a, c.r, c.image, c.session, c.opens = nil, nil, nil, nil, false
	c.idle, c.read.Interest = 0, nil
	c.items, c.parts, c.cuts = c.items[:0], c.parts[:0], c.cuts[:0]
	c.abort, c.nodes = c.abort[:0], c.nodes[:0]
	c.read.Entries, c.read.Partitions = c.read.Entries[:0], c.read.Partitions[:0]
	c.left, c.oldSent = 0, false
	for _, b := range [...]*[]byte{&c.out, &c.raw, &c.old} {
		*b = (*b)[:0]
		if cap(*b) > maxKeptAnswer {
			*b = nil
		}
	}
	if cap(c.items) <= maxKeptItems {
		a.fetches.pool.Put(c)
	}
}

// maxKeptItems bounds the partitions that a call keeps room for.
const maxKeptItems = 4096

// fetch reads record batches. Small reads are copied into the answer, large ones
// go from the log's file to the socket.
func (a *API) fetch(r *server.Request) {
	c := a.fetches.get(a, r)
	if err := c.req.Decode(r.Header.Version, r.Body); err != nil {
		c.req.Reset()
		c.release()
		r.Close(err)
		return
	}
	c.image = a.Images.Load()
	c.follower = c.req.ReplicaID >= 0
	if iso := replica.Isolation(c.req.Isolation); iso != replica.ReadUncommitted && iso != replica.ReadCommitted {
		c.refuseRequest(errIsolation)
		return
	}
	if err := c.begin(time.Now()); err != nil {
		c.items = c.items[:0]
		c.send(wire.FetchResponse{ErrorCode: code(err)})
		return
	}
	c.plan()
	c.req.Reset()
	if len(c.read.Entries) == 0 && c.idle == 0 {
		c.finish(replica.FetchResult{})
		return
	}
	// The call may be answered, and used for another request, before Fetch
	// returns: nothing of it may be touched afterwards.
	a.Replicas.Fetch(&c.read, c.fetched)
}

func (c *fetchCall) usesIDs() bool { return c.r.Header.Version >= fetchTopicID }

// refuseRequest answers all of the request with one error. From version 13 on
// the error stands alone.
func (c *fetchCall) refuseRequest(err error) {
	if !c.usesIDs() {
		c.eachWanted(func(key partitionKey, name string, want wire.FetchPartition) {
			c.items = append(c.items, fetchItem{key: key, name: name, want: want, err: err})
			c.items[len(c.items)-1].refuse(c, err)
		})
	}
	id := c.req.SessionID
	c.req.Reset()
	c.send(wire.FetchResponse{ErrorCode: code(err), SessionID: id})
}

// eachWanted calls f for each partition of the request, with keys and names
// that outlive it.
func (c *fetchCall) eachWanted(f func(key partitionKey, name string, want wire.FetchPartition)) {
	for i := range c.req.Topics {
		t := &c.req.Topics[i]
		key, name := c.topicKey(t)
		for _, p := range c.req.Partitions[t.First:t.End] {
			key.index = p.Index
			f(key, name, p)
		}
	}
}

// topicKey names a topic of the request. The name is that of the image where
// there is one, because it outlives the request.
func (c *fetchCall) topicKey(t *wire.FetchTopic) (key partitionKey, name string) {
	if c.usesIDs() {
		if topic, ok := c.image.TopicByID(t.ID); ok {
			name = topic.Name
		}
		return partitionKey{id: t.ID}, name
	}
	if topic, ok := c.image.Topic(view(t.Name)); ok {
		name = topic.Name
	} else {
		name = strings.Clone(view(t.Name))
	}
	return partitionKey{topic: name}, name
}

// begin finds the partitions to answer: those of the request, or those of its
// session.
func (c *fetchCall) begin(now time.Time) error {
	if c.req.SessionEpoch == firstEpoch || c.req.SessionEpoch == finalEpoch {
		if c.req.SessionID != noSession {
			c.a.sessions.remove(c.req.SessionID)
		}
		c.opens = c.req.SessionEpoch == firstEpoch
		c.takeWanted()
		return nil
	}
	s, ok := c.a.sessions.find(c.req.SessionID)
	if !ok {
		return errSessionUnknown
	}
	size, err := c.advance(s, now)
	if err != nil {
		return err
	}
	if size == 0 {
		c.a.sessions.remove(s.id)
		c.takeWanted()
		return nil
	}
	if !c.a.sessions.touch(s, size, now) {
		return errSessionUnknown
	}
	c.session = s
	return nil
}

// takeWanted takes the partitions of the request.
func (c *fetchCall) takeWanted() {
	c.eachWanted(func(key partitionKey, name string, want wire.FetchPartition) {
		c.items = append(c.items, fetchItem{key: key, name: name, want: want})
	})
}

// advance applies the request to its session and takes the session's partitions
// that may have something new. It returns how many there are in all.
func (c *fetchCall) advance(s *fetchSession, now time.Time) (size int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != c.req.SessionEpoch {
		return 0, errSessionEpoch
	}
	if s.usesIDs != c.usesIDs() {
		return 0, errSessionTopicID
	}
	c.eachWanted(func(key partitionKey, _ string, want wire.FetchPartition) { s.set(key, want) })
	for i := range c.req.Forgotten {
		t := &c.req.Forgotten[i]
		key, _ := c.topicKey(t)
		for _, index := range c.req.ForgottenPartitions[t.First:t.End] {
			key.index = index
			s.forget(key)
		}
	}
	if len(s.parts) == 0 {
		return 0, nil
	}
	s.epoch = nextEpoch(s.epoch)
	c.epoch = s.epoch
	for _, p := range s.takeDue(sessionView{image: weak.Make(c.image), isolation: c.req.Isolation}, now) {
		c.items = append(c.items, fetchItem{key: p.key, name: c.nameOf(p.key), want: p.want, part: p})
	}
	c.idle = len(s.parts) - len(c.items)
	if !s.follower {
		c.read.Interest = &s.interest
		c.deadline = now.Add(time.Duration(c.req.MaxWaitMillis) * time.Millisecond)
	}
	return len(s.parts), nil
}

// nameOf is the name of a partition's topic, empty when its id is unknown.
func (c *fetchCall) nameOf(key partitionKey) string {
	if !c.usesIDs() {
		return key.topic
	}
	if topic, ok := c.image.TopicByID(key.id); ok {
		return topic.Name
	}
	return ""
}

// plan decides which partitions are read.
func (c *fetchCall) plan() {
	cfg := c.a.Configs.Broker()
	maxBytes := min(c.req.MaxBytes, cfg.FetchMaxBytes)
	c.read.MaxBytes = maxBytes
	c.read.MinBytes = min(c.req.MinBytes, maxBytes)
	c.read.MaxWait = time.Duration(c.req.MaxWaitMillis) * time.Millisecond
	c.read.Isolation = replica.Isolation(c.req.Isolation)
	c.read.ReplicaID, c.read.ReplicaEpoch = replica.ConsumerReplicaID, c.req.ReplicaEpoch
	if c.follower {
		c.read.ReplicaID = c.req.ReplicaID
	}
	c.read.HardMaxBytes = c.req.Version < fetchSoftLimit
	if c.converts() { // what is sent is bounded when it is converted
		c.read.MaxBytes, c.left = math.MaxInt32, int(min(maxBytes, maxOldAnswer))
	}
	c.planItems(c.items)
}

// planItems adds the partitions of items that are read.
func (c *fetchCall) planItems(items []fetchItem) {
	allowed := !c.follower || c.a.authorizedCluster(c.r, auth.ClusterAction)
	for i := range items {
		item := &items[i]
		if item.err = c.admit(item, allowed); item.err == nil {
			e := item.entry()
			e.MaxBytes = c.readLimit(item.name, e.MaxBytes)
			c.read.Entries = append(c.read.Entries, e)
		}
	}
}

// admit says why a partition is not to be read.
func (c *fetchCall) admit(item *fetchItem, allowed bool) error {
	if !allowed {
		return errTopicDenied
	}
	if item.name == "" && c.usesIDs() {
		return replica.ErrUnknownTopicID
	}
	if !c.follower && !c.a.mayUse(c.r, auth.Read, item.name) {
		return errTopicDenied
	}
	if _, ok := c.image.Partition(item.name, item.key.index); !ok {
		return replica.ErrUnknownPartition
	}
	return nil
}

func (i *fetchItem) entry() replica.FetchEntry {
	w := &i.want
	return replica.FetchEntry{
		TP: record.TopicPartition{Topic: i.name, Partition: i.key.index}, TopicID: i.key.id,
		CurrentLeaderEpoch: w.CurrentLeaderEpoch, FetchOffset: w.FetchOffset, LastFetchedEpoch: w.LastFetchedEpoch,
		LogStartOffset: w.LogStartOffset, MaxBytes: w.MaxBytes,
	}
}

// finish takes what was read and answers.
func (c *fetchCall) finish(res replica.FetchResult) {
	c.read.Partitions = res.Partitions
	if c.read.Interest != nil && c.again() {
		return
	}
	next := 0
	for i := range c.items {
		item := &c.items[i]
		if item.err != nil {
			item.refuse(c, item.err)
			continue
		}
		item.records = &res.Partitions[next]
		next++
		c.result(item)
	}
	head := wire.FetchResponse{}
	switch {
	case c.session != nil:
		head = c.endIncremental()
	case c.opens:
		head.SessionID = c.open(time.Now())
	}
	c.send(head)
}

// again waits on when partitions have changed that were not read, and what was
// read is not enough yet. It returns false when the answer is due.
func (c *fetchCall) again() bool {
	left := time.Until(c.deadline)
	if left <= 0 || c.enough() || !c.takeChanged() {
		return false
	}
	for i := range c.read.Partitions {
		c.read.Partitions[i].Records.Release()
	}
	c.read.MaxWait = left
	c.a.Replicas.Fetch(&c.read, c.fetched)
	return true
}

// enough tells whether what was read is to be sent without waiting.
func (c *fetchCall) enough() bool {
	bytes := 0
	for i := range c.read.Partitions {
		p := &c.read.Partitions[i]
		if p.Err != nil || p.DivergingEpoch >= 0 || p.DivergingEndOffset >= 0 {
			return true
		}
		bytes += p.Records.Size()
	}
	return bytes >= int(c.read.MinBytes)
}

// takeChanged takes the partitions that have changed to those that are read. It
// returns false when the session has gone on without this request.
func (c *fetchCall) takeChanged() bool {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != c.epoch {
		return false
	}
	known, taken := len(s.due), len(c.items)
	s.takeChanged()
	for _, p := range s.due[known:] {
		c.items = append(c.items, fetchItem{key: p.key, name: c.nameOf(p.key), want: p.want, part: p})
		c.idle--
	}
	c.planItems(c.items[taken:])
	return true
}

// noAborted is an empty list, not null: what Kafka sends with a partition that
// it does not read.
var noAborted = []wire.AbortedTransaction{}

// refuse answers a partition that is not read.
func (i *fetchItem) refuse(c *fetchCall, err error) {
	i.answer = wire.FetchResponsePartition{
		Index: i.key.index, ErrorCode: code(err),
		HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReplica: -1, Aborted: noAborted,
	}
}

// result answers a partition that was read.
func (c *fetchCall) result(item *fetchItem) {
	p := item.records
	tp := record.TopicPartition{Topic: item.name, Partition: item.key.index}
	err := p.Err
	if err != nil {
		err = c.storageError(c.a.notHosted(tp, err))
	}
	item.answer = wire.FetchResponsePartition{
		Index: item.key.index, ErrorCode: code(err),
		HighWatermark: p.HighWatermark, LastStableOffset: p.LastStableOffset, LogStartOffset: p.LogStartOffset,
		PreferredReplica: -1,
	}
	if err != nil {
		c.nameLeader(item, tp)
	} else if err = c.readable(item); err != nil {
		item.refuse(c, c.storageError(err))
	} else {
		c.addAborted(item)
		if p.DivergingEpoch >= 0 || p.DivergingEndOffset >= 0 {
			item.answer.Diverging = wire.EpochEnd{Known: true, Epoch: p.DivergingEpoch, EndOffset: p.DivergingEndOffset}
		}
	}
	if !c.follower {
		c.a.topics.fetched(item.name, item.size(), item.answer.ErrorCode == 0)
	}
}

// storageError replaces an error that old clients do not know by one that makes
// them look for another leader.
func (c *fetchCall) storageError(err error) error {
	if c.r.Header.Version < fetchStorage && code(err) == kerr.KafkaStorageError.Code {
		return errStorageMoved
	}
	return err
}

// nameLeader tells a client that has asked the wrong broker whom to ask.
func (c *fetchCall) nameLeader(item *fetchItem, tp record.TopicPartition) {
	e := item.answer.ErrorCode
	if c.r.Header.Version >= fetchLeader && (e == kerr.NotLeaderForPartition.Code || e == kerr.FencedLeaderEpoch.Code) {
		item.answer.CurrentLeader = c.a.leaderOf(c.a.Images.Load(), tp, listener(c.r), &c.nodes)
	}
}

// readable brings the records into a form that the client can read, or says why
// that is not possible.
func (c *fetchCall) readable(item *fetchItem) error {
	cfg := c.a.Configs.Topic(item.name)
	switch {
	case c.r.Header.Version < fetchZstd && cfg.CompressionType == "zstd":
		return errFetchZstd
	case !c.converts():
		return nil
	case !cfg.DownConversion && !c.follower:
		return errDownConvert
	case item.records.Records.Size() == 0:
		return nil
	}
	return c.convert(item)
}

// addAborted lists the aborted transactions for readers that leave them out;
// the others get null.
func (c *fetchCall) addAborted(item *fetchItem) {
	if c.read.Isolation != replica.ReadCommitted || c.follower {
		return
	}
	if len(item.records.Aborted) == 0 {
		item.answer.Aborted = noAborted
		return
	}
	first := len(c.abort)
	for _, a := range item.records.Aborted {
		c.abort = append(c.abort, wire.AbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	item.answer.Aborted = c.abort[first:len(c.abort):len(c.abort)]
}

// quiet reports whether nothing can be told of a partition before it changes.
func (i *fetchItem) quiet(size int, isolation replica.Isolation) bool {
	end := i.answer.HighWatermark
	if isolation == replica.ReadCommitted {
		end = i.answer.LastStableOffset
	}
	return i.err == nil && i.answer.ErrorCode == 0 && size == 0 && !i.answer.Diverging.Known && end >= 0 && i.want.FetchOffset >= end
}

// endIncremental leaves out what the client knows already.
func (c *fetchCall) endIncremental() wire.FetchResponse {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != c.epoch { // the client has gone on without this answer
		for i := range c.items {
			c.items[i].skip = true
		}
		return wire.FetchResponse{ErrorCode: code(errSessionEpoch), SessionID: s.id}
	}
	for i := range c.items {
		item := &c.items[i]
		size := item.size()
		item.skip = !item.part.changed(&item.answer, size)
		if size > 0 {
			s.moveBack(item.part)
		}
		c.rest(item, size)
	}
	s.settle()
	return wire.FetchResponse{SessionID: s.id}
}

// rest leaves a partition of the session to its watch, if there is nothing to
// tell of it before it changes. The watch must be older than the read: a new one
// does not know what came in between, so the partition is read once more. Called
// under the session's mutex.
func (c *fetchCall) rest(item *fetchItem, size int) {
	s, p := c.session, item.part
	switch {
	case s.follower || s.closed || p.gone:
	case item.quiet(size, c.read.Isolation):
		tp := record.TopicPartition{Topic: item.name, Partition: item.key.index}
		if c.a.Replicas.WatchPartition(&s.interest, &p.watch, tp, item.key.id) {
			p.due = false
			p.watch.Rely(true)
		}
	case item.answer.ErrorCode != 0:
		p.watch.Unwatch() // the replica may be gone for good
	}
}

// open opens a session for the request, if there is room, and returns its id.
func (c *fetchCall) open(now time.Time) int32 {
	s := newFetchSession(c.follower, c.usesIDs(), len(c.items))
	for _, refused := range [...]bool{false, true} {
		for i := range c.items {
			if item := &c.items[i]; (item.err != nil) == refused {
				p := s.set(item.key, item.want)
				p.highWatermark, p.logStartOffset = item.answer.HighWatermark, item.answer.LogStartOffset
			}
		}
	}
	if !c.a.sessions.add(s, now) {
		return noSession
	}
	return s.id
}

// send encodes the answer and sends it.
func (c *fetchCall) send(head wire.FetchResponse) {
	v := c.r.Header.Version
	c.order()
	c.out = wire.AppendFetchResponse(c.out[:0], v, head, c.topicCount())
	for i := 0; i < len(c.items); {
		end := c.topicEnd(i)
		c.out = wire.AppendFetchTopic(c.out, v, c.items[i].name, c.items[i].key.id, end-i)
		for ; i < end; i++ {
			c.encode(i)
		}
		c.out = wire.AppendFetchTopicEnd(c.out, v)
	}
	c.out = wire.AppendFetchResponseEnd(c.out, v, c.nodes)
	c.reply()
}

// order takes out the items that are not sent and puts those that were not read
// to the end, as Kafka does.
func (c *fetchCall) order() {
	sent := c.items[:0]
	refused := 0
	for i := range c.items {
		if !c.items[i].skip {
			sent = append(sent, c.items[i])
			if c.items[i].err != nil {
				refused++
			}
		}
	}
	clear(c.items[len(sent):])
	c.items = sent
	if refused > 0 && refused < len(sent) {
		c.refusedLast()
	}
}

func (c *fetchCall) refusedLast() {
	var refused []fetchItem
	read := c.items[:0]
	for _, item := range c.items {
		if item.err != nil {
			refused = append(refused, item)
		} else {
			read = append(read, item)
		}
	}
	c.items = append(read, refused...)
}

// topicEnd is the end of the run of items of one topic that starts at i.
func (c *fetchCall) topicEnd(i int) int {
	key := c.items[i].key
	for i++; i < len(c.items) && c.items[i].key.topic == key.topic && c.items[i].key.id == key.id; i++ {
	}
	return i
}

func (c *fetchCall) topicCount() (n int) {
	for i := 0; i < len(c.items); i = c.topicEnd(i) {
		n++
	}
	return n
}

// encode appends an item, with its records or with the place where they come.
func (c *fetchCall) encode(i int) {
	item := &c.items[i]
	v := c.r.Header.Version
	size := item.size()
	start := len(c.out)
	c.out = wire.AppendFetchPartition(c.out, v, &item.answer, size)
	switch {
	case size == 0:
	case size >= fileMin || len(c.out) > copyLimit && size >= fileMinFull:
		c.cuts = append(c.cuts, fileCut{at: len(c.out), item: i})
	case item.converted:
		c.out = append(c.out, item.old...)
	default:
		out, err := item.records.Records.Bytes(c.out)
		if err != nil {
			item.refuse(c, c.storageError(readFailure(err)))
			c.out = wire.AppendFetchPartition(c.out[:start], v, &item.answer, 0)
			break
		}
		c.out = out
	}
	c.out = wire.AppendFetchPartitionEnd(c.out, v, &item.answer)
}

// readFailure is the error of records that were found but could not be read.
func readFailure(err error) error {
	if errors.Is(err, replica.ErrStorage) {
		return err
	}
	return errors.Join(replica.ErrStorage, err)
}

// reply sends the answer: memory and files in turn.
func (c *fetchCall) reply() {
	body := c.out
	if len(c.cuts) > 0 {
		body = c.out[:c.cuts[0].at]
	}
	for i, cut := range c.cuts {
		end := len(c.out)
		if i+1 < len(c.cuts) {
			end = c.cuts[i+1].at
		}
		records := server.Part{File: &c.items[cut.item].records.Records}
		if item := &c.items[cut.item]; item.converted {
			records = server.Part{Bytes: item.old}
		}
		c.parts = append(c.parts, records, server.Part{Bytes: c.out[cut.at:end]})
	}
	c.r.Reply(server.Response{Body: body, Parts: c.parts, Release: c.released})
}
