package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/vfs"
)

var partition0 = record.TopicPartition{Topic: "t"}

func openReplicas(t *testing.T) *replica.Manager {
	logs, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{"/d"}, FS: vfs.NewMem()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logs.Close(-1) })
	m, err := replica.NewManager(replica.Config{TopicConfig: func(string) replica.TopicConfig {
		return replica.TopicConfig{MinISR: 1, Internal: true, Log: commitlog.DefaultConfig()}
	}}, logs, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	leadEpoch(t, m, 1)
	return m
}

func leadEpoch(t *testing.T, m *replica.Manager, epoch int32) {
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version = 7
	req.TopicStates = []kmsg.LeaderAndISRRequestTopicState{{Topic: "t", PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{
		{LeaderEpoch: epoch, ZKVersion: epoch, ISR: []int32{0}, Replicas: []int32{0}},
	}}}
	if resp := m.ApplyLeaderAndISR(t.Context(), req); resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
}

func appendBatch(t *testing.T, m *replica.Manager, b []byte) {
	m.Append(&replica.AppendRequest{Acks: 1, Origin: replica.OriginCoordinator, Entries: []replica.AppendEntry{{TP: partition0, Batches: b}}},
		func(rs []replica.AppendResult) {
			if rs[0].Err != nil {
				t.Fatal(rs[0].Err)
			}
		})
}

func load(t *testing.T, l *ReplicaLog, epoch int32) (got []string) {
	t.Helper()
	err := l.Load(t.Context(), 0, epoch, func(offset int64, r Record) {
		got = append(got, fmt.Sprintf("%d %s=%s", offset, r.Key, r.Value))
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReplicaLog(t *testing.T) {
	m := openReplicas(t)
	l := NewReplicaLog(m, "t")
	var outcomes []error
	done := func(err error) { outcomes = append(outcomes, err) }
	l.Append(0, 1, []Record{{[]byte("a"), []byte("1")}, {[]byte("b"), nil}}, done)
	l.Append(0, 0, []Record{{[]byte("c"), nil}}, done) // an epoch that has passed
	l.Append(9, 1, []Record{{[]byte("c"), nil}}, done)
	l.Append(0, 1, []Record{{[]byte("a"), make([]byte, 2<<20)}}, done)
	want := []error{nil, replica.ErrFencedEpoch, replica.ErrUnknownPartition, commitlog.ErrMessageTooLarge}
	for i, w := range want {
		if !errors.Is(outcomes[i], w) {
			t.Errorf("%d: %v, want %v", i, outcomes[i], w)
		}
	}
	if got := load(t, l, 1); !slices.Equal(got, []string{"0 a=1", "1 b="}) {
		t.Fatal(got)
	}
	if err := l.Load(t.Context(), 0, 0, nil); !errors.Is(err, replica.ErrFencedEpoch) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Load(ctx, 0, 1, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestLoadOfTransactions: what a transaction wrote counts from its commit.
func TestLoadOfTransactions(t *testing.T) {
	m := openReplicas(t)
	l := NewReplicaLog(m, "t")
	write := func(pid int64, value string) {
		var b record.Builder
		o := record.NewOptions()
		if pid >= 0 {
			o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = pid, 0, 0, true
		}
		b.Reset(o)
		b.Append(1, []byte("k"), []byte(value))
		out, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		appendBatch(t, m, out)
	}
	mark := func(pid int64, typ record.MarkerType) {
		out, err := record.AppendMarker(nil, pid, 0, 1, record.Marker{Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		appendBatch(t, m, out)
	}
	write(7, "committed")
	write(8, "aborted")
	write(9, "open")
	write(-1, "plain")
	mark(8, record.Abort)
	mark(7, record.Commit)
	if got := load(t, l, 1); !slices.Equal(got, []string{"3 k=plain", "0 k=committed"}) {
		t.Fatal(got)
	}
}

// TestRuntimeOverReplicas: the whole way from request to log and back.
func TestRuntimeOverReplicas(t *testing.T) {
	m := openReplicas(t)
	w := start(t, NewReplicaLog(m, "t"), Config[*setRequest]{})
	m.Watch("t", w.rt.Leadership)
	for epoch := int32(2); epoch < 5; epoch++ {
		waitActive(t, w)
		for i := range 10 {
			expect(t, w.set(i*int(epoch)), answer{i * int(epoch), nil})
		}
		leadEpoch(t, m, epoch)
		waitActive(t, w)
		if got := w.read(); got != (answer{9 * int(epoch), nil}) {
			t.Fatalf("epoch %d: %+v", epoch, got)
		}
	}
}
