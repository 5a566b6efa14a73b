package oracle

import (
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fixture is the topic that rows which change nothing share: partition 0 holds
// batches of 3, 2 (gzip) and 1 (idempotent) records, partition 1 none.
func (c *call) fixture() string { return fmt.Sprintf("%s%d", fixturePrefix, c.start.Unix()) }

// furnish makes the fixture at a peer, and the topic of offsets.
func furnish(t *testing.T, b *bench, p *peer) {
	var failed string
	r := &row{name: "fixture", key: 3, talk: func(c *call) {
		c.makeTopic(c.fixture(), 2)
		c.produce(c.fixture(), 0,
			c.batch(3),
			c.batch(2, func(o *record.BuilderOptions) { o.Compression = record.Gzip }),
			c.batch(1, idempotent(7000, 0, 0)))
		c.coordinate()
		c.awaitProducerIDs()
	}}
	if _, failed = b.call(p, p, r, 0).hold(); failed != "" {
		t.Fatalf("%s: %s", p.name, failed)
	}
}

// coordinate waits until groups are coordinated.
func (c *call) coordinate() {
	for range 200 {
		if c.do(findGroup("any")).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0 && c.loaded() {
			return
		}
		pause()
	}
	panic(spoiled("preparation: no group coordinator"))
}

// loaded reports whether every partition of the topic of offsets is loaded.
func (c *call) loaded() bool {
	req := kmsg.NewPtrDescribeGroupsRequest()
	for i := range 32 {
		req.Groups = append(req.Groups, fmt.Sprint("any ", i))
	}
	for _, g := range c.do(req).(*kmsg.DescribeGroupsResponse).Groups {
		if g.ErrorCode != 0 && g.ErrorCode != 69 {
			return false
		}
	}
	return true
}

// awaitProducerIDs waits until the broker has ids for producers: Kafka answers
// the first one that asks, that it is still fetching them.
func (c *call) awaitProducerIDs() {
	for range 200 {
		if c.do(initProducer(nil, 0, -1, -1)(c)).(*kmsg.InitProducerIDResponse).ErrorCode == 0 {
			return
		}
		pause()
	}
	panic(spoiled("preparation: no producer ids"))
}
