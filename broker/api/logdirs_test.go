package api_test

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// moveTo asks for moves of a topic's logs into a directory.
func moveTo(dir, topic string, partitions ...int32) *kmsg.AlterReplicaLogDirsRequest {
	req := at(2, kmsg.NewPtrAlterReplicaLogDirsRequest())
	req.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{
		Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: topic, Partitions: partitions}},
	}}
	return req
}

// dirsOf tells in which directories a partition is; true: as a copy.
func dirsOf(t *testing.T, c *brokertest.Conn, topic string, partition int32) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	for _, d := range ask[*kmsg.DescribeLogDirsResponse](t, c, at(4, kmsg.NewPtrDescribeLogDirsRequest())).Dirs {
		for _, tp := range d.Topics {
			for _, p := range tp.Partitions {
				if tp.Topic == topic && p.Partition == partition {
					out[filepath.Base(d.Dir)] = p.IsFuture
				}
			}
		}
	}
	return out
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx := brokertest.Context(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not so after all the time", what)
		case <-tick.C:
		}
	}
}

func TestAlterReplicaLogDirs(t *testing.T) {
	root := t.TempDir()
	dir := func(name string) string { return filepath.Join(root, name) }
	b := brokertest.StartIn(t, root, map[string]string{"log.dirs": dir("a") + "," + dir("b")})
	b.CreateTopic("t", 2)
	produced(t, b, "t", 10)
	c := b.Dial()

	// A rate of next to nothing keeps the move under way until it is lifted.
	const rate = "replica.alter.log.dirs.io.max.bytes.per.second"
	set := func(op kadm.IncrementalOp, value *string) {
		t.Helper()
		resps, err := b.Admin().AlterBrokerConfigs(brokertest.Context(t), []kadm.AlterConfig{{Op: op, Name: rate, Value: value}}, b.ID())
		if err != nil || resps[0].Err != nil {
			t.Fatal(err, resps[0].Err)
		}
	}
	slow := "1"
	set(kadm.SetConfig, &slow)
	eventually(t, "the rate holds", func() bool {
		cs, err := b.Admin().DescribeBrokerConfigs(brokertest.Context(t), b.ID())
		if err != nil {
			return false
		}
		for _, k := range cs[0].Configs {
			if k.Key == rate {
				return *k.Value == slow
			}
		}
		return false
	})
	produced(t, b, "t", 1)
	from, to := "a", "b"
	if _, ok := dirsOf(t, c, "t", 0)[to]; ok {
		from, to = to, from
	}
	move := func(where string, ps ...int32) []kmsg.AlterReplicaLogDirsResponseTopicPartition {
		t.Helper()
		return ask[*kmsg.AlterReplicaLogDirsResponse](t, c, moveTo(where, "t", ps...)).Topics[0].Partitions
	}
	wantCode(t, "unknown directory", move(dir("c"), 0)[0].ErrorCode, kerr.LogDirNotFound)
	wantCode(t, "unknown partition", move(dir("a"), 7)[0].ErrorCode, kerr.UnknownTopicOrPartition)
	if got := move(dir(to), 0, 0); len(got) != 1 || got[0].ErrorCode != 0 {
		t.Errorf("a move: %+v", got)
	}
	placed := func(want map[string]bool) func() bool {
		return func() bool { return maps.Equal(dirsOf(t, c, "t", 0), want) }
	}
	eventually(t, "a copy is shown", placed(map[string]bool{from: false, to: true}))
	set(kadm.DeleteConfig, nil)
	eventually(t, "the log has moved", placed(map[string]bool{to: false}))
	produced(t, b, "t", 5)
}
