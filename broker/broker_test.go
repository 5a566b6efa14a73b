package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Sarama's meters tick for ever.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// produce writes records with the given values to partition 0 of a topic.
func produce(t testing.TB, b *brokertest.Broker, topic string, values ...string) {
	t.Helper()
	cl := b.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, v := range values {
		if err := cl.ProduceSync(brokertest.Context(t), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// consume reads n values of a topic from its start.
func consume(t testing.TB, b *brokertest.Broker, topic string, n int) []string {
	t.Helper()
	cl := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	return poll(t, cl, n)
}

// poll reads n values.
func poll(t testing.TB, cl *kgo.Client, n int) []string {
	t.Helper()
	ctx := brokertest.Context(t)
	var got []string
	for len(got) < n {
		fetches := cl.PollRecords(ctx, n-len(got))
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records, then %v", len(got), n, err)
		}
		fetches.EachError(func(topic string, p int32, err error) { t.Fatalf("%s-%d: %v", topic, p, err) })
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

// values makes n different values.
func values(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

func TestProduceAndConsumeEveryCodec(t *testing.T) {
	b := brokertest.Start(t, nil)
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		for acksName, acks := range map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()} {
			topic := name + "-" + acksName
			cl := b.Client(kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(),
				kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(time.Millisecond))
			want := values(strings.Repeat("value ", 20), 100)
			for _, v := range want {
				cl.Produce(brokertest.Context(t), kgo.StringRecord(v), func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("%s: %v", topic, err)
					}
				})
			}
			if err := cl.Flush(brokertest.Context(t)); err != nil {
				t.Fatal(err)
			}
			if got := consume(t, b, topic, len(want)); !slices.Equal(got, want) {
				t.Errorf("%s: got other records than were produced", topic)
			}
		}
	}
}

func TestGroupSharesAndCommits(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 4)
	producer := b.Client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	want := values("v", 40)
	for _, v := range want {
		if err := producer.ProduceSync(brokertest.Context(t), &kgo.Record{Topic: "a", Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	member := func() *kgo.Client {
		return b.Client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("a"), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(50*time.Millisecond))
	}
	first := member()
	got := poll(t, first, len(want))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d records that differ from the %d produced", len(got), len(want))
	}
	if err := first.CommitUncommittedOffsets(brokertest.Context(t)); err != nil {
		t.Fatal(err)
	}

	// A second member takes half of the partitions and nothing that was committed.
	second := member()
	awaitMembers(t, b, "g", 2, first, second)
	produce(t, b, "a", "new")
	ctx, cancel := context.WithCancel(brokertest.Context(t))
	defer cancel()
	records := make(chan string, 10)
	done := make(chan struct{}, 2)
	for _, cl := range []*kgo.Client{first, second} {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { records <- string(r.Value) })
			}
		}()
	}
	if v := <-records; v != "new" {
		t.Errorf("got %q, want the record after the committed ones", v)
	}
	cancel()
	<-done
	<-done
}

// awaitMembers polls the members until the group is stable with n of them, each
// with a part of the topic.
func awaitMembers(t *testing.T, b *brokertest.Broker, group string, n int, members ...*kgo.Client) {
	t.Helper()
	admin := b.Admin()
	for ctx := brokertest.Context(t); ; {
		for _, m := range members {
			short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			m.PollRecords(short, 1)
			cancel()
		}
		groups, err := admin.DescribeGroups(ctx, group)
		if err != nil {
			t.Fatal(err)
		}
		g := groups[group]
		if g.State == "Stable" && len(g.Members) == n && !slices.ContainsFunc(g.Members, func(m kadm.DescribedGroupMember) bool {
			c, ok := m.Assigned.AsConsumer()
			return !ok || len(c.Topics) == 0
		}) {
			return
		}
	}
}

// What a broker was told before an orderly stop, it knows afterwards.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.StartIn(t, dir, nil)
	b.CreateTopic("a", 1, "retention.ms", "123456")
	want := values("v", 10)
	produce(t, b, "a", want...)
	ctx := brokertest.Context(t)
	details, err := b.Admin().ListTopics(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	id, cluster := details["a"].ID, b.ClusterID()
	reader := b.Client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("a"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	poll(t, reader, 4)
	if err := reader.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	b.Stop()

	b = brokertest.StartIn(t, dir, nil)
	if b.ClusterID() != cluster {
		t.Errorf("cluster %s, was %s", b.ClusterID(), cluster)
	}
	admin := b.Admin()
	if details, err = admin.ListTopics(ctx, "a"); err != nil || details["a"].ID != id {
		t.Errorf("topic id %v, was %v (%v)", details["a"].ID, id, err)
	}
	if got := consume(t, b, "a", len(want)); !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	configs, err := admin.DescribeTopicConfigs(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != "123456" {
			t.Errorf("retention.ms %s", c.MaybeValue())
		}
	}
	reader = b.Client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("a"))
	if got := poll(t, reader, 6); !slices.Equal(got, want[4:]) {
		t.Errorf("the group goes on with %q, want %q", got, want[4:])
	}
	produce(t, b, "a", "after")
	if got := consume(t, b, "a", 11); got[10] != "after" {
		t.Errorf("last record %q", got[10])
	}
}

// startError starts a broker that cannot run and returns why.
func startError(t *testing.T, cfg broker.Config) error {
	t.Helper()
	b, err := broker.New(cfg, brokertest.Logger(t), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	err = b.Run(brokertest.Context(t))
	select {
	case <-b.Ready():
		t.Error("the broker was ready")
	default:
	}
	if err == nil {
		t.Error("the broker did run")
		return errors.New("")
	}
	return err
}

func TestSecondBrokerInFolder(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.StartIn(t, dir, nil)
	err := startError(t, brokertest.Config(dir, nil))
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("error %q does not tell of the lock in %s", err, dir)
	}
	// Another tree, but the same log directory.
	cfg := brokertest.Config(dir, nil)
	cfg.CoordinationDir = t.TempDir()
	if err := startError(t, cfg); !strings.Contains(err.Error(), filepath.Join(dir, "log")) {
		t.Errorf("error %q does not name the log directory", err)
	}
	produceCreating(t, b, "a", "still alive")
}

// produceCreating writes to a topic that may not exist yet.
func produceCreating(t *testing.T, b *brokertest.Broker, topic, value string) {
	t.Helper()
	cl := b.Client(kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(brokertest.Context(t), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestFoldersOfOthers(t *testing.T) {
	dir := t.TempDir()
	brokertest.StartIn(t, dir, nil).Stop()

	other := brokertest.Config(dir, map[string]string{"broker.id": "7"})
	if err := startError(t, other); !strings.Contains(err.Error(), "belongs to broker 0, not 7") {
		t.Errorf("error %q does not tell of the broker", err)
	}
	foreign := brokertest.Config(dir, nil)
	foreign.CoordinationDir = t.TempDir()
	if err := startError(t, foreign); !strings.Contains(err.Error(), "cluster") {
		t.Errorf("error %q does not tell of the cluster", err)
	}
	taken := brokertest.Start(t, nil)
	port := brokertest.Config(t.TempDir(), map[string]string{"listeners": "PLAINTEXT://" + taken.Addr})
	if err := startError(t, port); !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %q does not tell of the port", err)
	}
}

func TestBrokerIDIsGeneratedOnce(t *testing.T) {
	dir := t.TempDir()
	set := map[string]string{"broker.id": "-1"}
	b := brokertest.StartIn(t, dir, set)
	if b.ID() <= 1000 {
		t.Errorf("generated id %d is among those that may be configured", b.ID())
	}
	id := b.ID()
	b.Stop()
	if b = brokertest.StartIn(t, dir, set); b.ID() != id {
		t.Errorf("id %d after a restart, was %d", b.ID(), id)
	}
}

func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"listener with TLS":       {map[string]string{"listeners": "SSL://:0"}, "SSL"},
		"listener without a port": {map[string]string{"listeners": "PLAINTEXT://"}, "listeners"},
		"advertised to nobody":    {map[string]string{"advertised.listeners": "PLAINTEXT://0.0.0.0:9092"}, "0.0.0.0"},
		"advertised, not open":    {map[string]string{"advertised.listeners": "OTHER://h:1", "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT"}, "OTHER"},
		"zookeeper":               {map[string]string{"zookeeper.connect": "localhost:2181"}, "zookeeper.connect"},
		"bad number":              {map[string]string{"num.partitions": "many"}, "num.partitions"},
	} {
		if err := startError(t, brokertest.Config(t.TempDir(), c.set)); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q does not tell of %s", name, err, c.want)
		}
	}
	dir := t.TempDir()
	inside := brokertest.Config(dir, nil)
	inside.CoordinationDir = filepath.Join(dir, "log", "tree")
	if err := startError(t, inside); !errors.Is(err, broker.ErrConfig) {
		t.Errorf("tree inside a log directory: %v", err)
	}
}

// The log directory holds what Kafka's holds, and nothing else.
func TestLogDirIsClean(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.StartIn(t, dir, nil)
	b.CreateTopic("a", 2)
	produce(t, b, "a", "x")
	b.Stop()
	entries, err := os.ReadDir(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	known := []string{".lock", ".leat-reserve", ".kafka_cleanshutdown", "meta.properties", "cleaner-offset-checkpoint",
		"log-start-offset-checkpoint", "recovery-point-offset-checkpoint", "replication-offset-checkpoint", "a-0", "a-1"}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			t.Errorf("%s has no business in a log directory", e.Name())
		}
	}
}

// A stop does not wait for readers that wait for records.
func TestStopWithWaitingReaders(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	cl := b.Client(kgo.ConsumeTopics("a"), kgo.FetchMaxWait(time.Minute))
	ctx, cancel := context.WithCancel(context.Background())
	polled := make(chan struct{})
	go func() { defer close(polled); cl.PollFetches(ctx) }()
	produce(t, b, "a", "wake up")
	<-polled
	go cl.PollFetches(ctx)
	defer cancel()
	b.Stop()
}

func TestAdvertisesRealPort(t *testing.T) {
	b := brokertest.Start(t, map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0,INTERNAL://127.0.0.1:0",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT", "advertised.listeners": "INTERNAL://inside:0,PLAINTEXT://127.0.0.1:0"})
	brokers, err := b.Admin().ListBrokers(brokertest.Context(t))
	if err != nil || len(brokers) != 1 {
		t.Fatal(brokers, err)
	}
	if got := fmt.Sprintf("%s:%d", brokers[0].Host, brokers[0].Port); got != b.Addr {
		t.Errorf("advertised %s, want %s", got, b.Addr)
	}
}

// Run serves until it is told to stop, whatever the clients do.
func TestRunEndsWithItsContext(t *testing.T) {
	b, err := broker.New(brokertest.Config(t.TempDir(), nil), brokertest.Logger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Errorf("Run of an ended context: %v", err)
	}
}
