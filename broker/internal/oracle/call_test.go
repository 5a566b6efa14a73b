package oracle

import (
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// row is a conversation that is held once for each version of an API.
type row struct {
	name        string
	key         int16
	from, below int16 // versions from ≤ v < below; below 0: up to the newest
	talk        func(c *call)
}

// call is one row in one version with one peer. Its methods ask and see write
// the transcript; do is for what only prepares.
type call struct {
	connection
	peer    *peer
	row     *row
	version int16
	common  func(key int16) int16 // the newest version that both peers serve
	prefix  string                // begins the name of everything the row makes
	start   time.Time             // the same for all peers
	seen    int
	as      string // goes before the labels of what follows
	w       writer
}

// spoiled ends a conversation whose preparation failed.
type spoiled string

// hold holds the conversation and returns its transcript.
func (c *call) hold() (lines []line, failed string) {
	defer c.close()
	defer func() {
		if e := recover(); e != nil {
			lines, failed = c.w.lines, fmt.Sprint(e)
			if _, ok := e.(spoiled); !ok {
				failed = "the row panics: " + failed
			}
		}
	}()
	c.w = writer{aliases: make(map[string]string), hidden: c.foreign, rename: c.rename}
	c.row.talk(c)
	return c.w.lines, ""
}

// foreign reports whether name belongs to another row or to the broker itself.
// Such names appear only where everything is listed.
func (c *call) foreign(name string) bool {
	made := strings.HasPrefix(name, rowPrefix) || strings.HasPrefix(name, fixturePrefix) || strings.HasPrefix(name, "__")
	return made && !strings.HasPrefix(name, c.prefix) && name != c.fixture()
}

// rename writes a row's names as ~name, and the fixture's without its number.
func (c *call) rename(name string) string {
	return strings.NewReplacer(c.prefix, "~", c.fixture(), "fixture").Replace(name)
}

// rowPrefix begins the names that rows make, fixturePrefix those that all rows
// share.
const rowPrefix, fixturePrefix = "row-", "fixture-"

// name is a name of the row's own, the same for all peers.
func (c *call) name(s string) string { return c.prefix + s }

// versioned sets the version in which a request is sent.
func (c *call) versioned(req kmsg.Request) kmsg.Request {
	if req.Key() == c.row.key {
		req.SetVersion(c.version)
	} else {
		req.SetVersion(c.common(req.Key()))
	}
	return req
}

// label names the next entry of the transcript.
func (c *call) label(req kmsg.Request) string {
	c.seen++
	if c.as != "" {
		return c.as + ": " + kmsg.NameForKey(req.Key())
	}
	return fmt.Sprintf("%d %s", c.seen, kmsg.NameForKey(req.Key()))
}

// ask sends a request and writes down what becomes of it. In place of an answer
// that did not come it returns nil.
func (c *call) ask(req kmsg.Request) kmsg.Response {
	return c.askFrame(encode(c.versioned(req), c.correlation+1), req)
}

// askFrame is ask for a frame that no request encodes to; req tells how the
// answer is decoded.
func (c *call) askFrame(frame []byte, req kmsg.Request) kmsg.Response {
	out := c.exchange(req, frame)
	out.describe(c.label(req), &c.w)
	return out.resp
}

// tell sends a request that is not answered and writes down whether the
// connection stays open.
func (c *call) tell(req kmsg.Request) {
	c.correlation++
	frame := encode(c.versioned(req), c.correlation)
	label := c.label(req)
	size := []byte{byte(len(frame) >> 24), byte(len(frame) >> 16), byte(len(frame) >> 8), byte(len(frame))}
	if err := c.write(size, frame); err != nil {
		c.w.add(label, closed)
		return
	}
	probe := c.exchange(&kmsg.ApiVersionsRequest{}, nil)
	if probe.what == answered {
		probe.what = "not answered, open"
	}
	c.w.add(label, probe.what)
}

// do sends a request of the preparation, which must be answered.
func (c *call) do(req kmsg.Request) kmsg.Response {
	req.SetVersion(c.common(req.Key()))
	out := c.exchange(req, nil)
	if out.what != answered {
		panic(spoiled(fmt.Sprintf("preparation: %s is %s", kmsg.NameForKey(req.Key()), out.what)))
	}
	return out.resp
}

// require ends the conversation when the preparation got an error.
func require(what string, code int16) {
	if code != 0 {
		panic(spoiled(fmt.Sprintf("preparation: %s: error %d", what, code)))
	}
}

// topic makes a topic of the row's own; configs are keys and values in turn.
func (c *call) topic(name string, partitions int32, configs ...string) string {
	c.makeTopic(c.name(name), partitions, configs...)
	return c.name(name)
}

func (c *call) makeTopic(name string, partitions int32, configs ...string) {
	req := createTopic(name, partitions, 1)
	for i := 0; i+1 < len(configs); i += 2 {
		req.Topics[0].Configs = append(req.Topics[0].Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	created := c.do(req).(*kmsg.CreateTopicsResponse)
	require("create "+name, created.Topics[0].ErrorCode)
	c.awaitLeader(name)
}

// awaitLeader waits until the peer's metadata names leaders, which Kafka learns
// a moment after the topic is made.
func (c *call) awaitLeader(name string) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		if c.led(name) {
			return
		}
	}
	panic(spoiled("preparation: " + name + " has no leader"))
}

// led reports whether all partitions are led, which Kafka 4 says before it is so.
func (c *call) led(name string) bool {
	t := c.metadata(name)
	req := listOffset(name, 0, -1)
	req.Topics[0].Partitions = nil
	for _, p := range t.Partitions {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.ListOffsetsRequestTopicPartition{
			Partition: p.Partition, Timestamp: -1, CurrentLeaderEpoch: -1,
		})
	}
	if t.ErrorCode != 0 || len(t.Partitions) == 0 {
		return false
	}
	for _, p := range c.do(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			return false
		}
	}
	return true
}

func (c *call) metadata(name string) kmsg.MetadataResponseTopic {
	return c.do(metadataOf(false, name)).(*kmsg.MetadataResponse).Topics[0]
}

// id is the id of a topic.
func (c *call) id(name string) [16]byte { return c.metadata(name).TopicID }

// produce appends batches to a partition.
func (c *call) produce(topic string, partition int32, batches ...[]byte) {
	for _, b := range batches {
		req := produceTo(topic, c.id(topic), partition, b)
		resp := c.do(req).(*kmsg.ProduceResponse)
		require("produce to "+topic, resp.Topics[0].Partitions[0].ErrorCode)
	}
}

// batch builds a batch of n small records, timed from start on in steps of a
// second; change adjusts the options.
func (c *call) batch(n int, change ...func(*record.BuilderOptions)) []byte {
	opts := record.NewOptions()
	for _, f := range change {
		f(&opts)
	}
	var b record.Builder
	b.Reset(opts)
	for i := range n {
		b.Append(c.start.UnixMilli()+1000*int64(i), fmt.Appendf(nil, "key %d", i), fmt.Appendf(nil, "value %d", i))
	}
	out, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return out
}

// idempotent makes a batch one of a producer.
func idempotent(id int64, epoch int16, sequence int32) func(*record.BuilderOptions) {
	return func(o *record.BuilderOptions) { o.ProducerID, o.ProducerEpoch, o.BaseSequence = id, epoch, sequence }
}
