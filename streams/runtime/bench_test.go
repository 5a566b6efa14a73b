package runtime_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/runtime"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkTumblingCount is the way of preloaded records through one thread to
// a committed window store, final results only; the broker is in the process.
func BenchmarkTumblingCount(b *testing.B) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "in", "out"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	preload(b, c.ListenAddrs(), b.N)
	sb := streams.New("bench")
	s := streams.From(sb, "in", serde.String, serde.Bytes)
	streams.Count(s.GroupByKey().Window(window.Tumbling(10*time.Second).Grace(5*time.Second)), "n",
		streams.Store(state.Retention(1000*time.Hour))).EmitOnClose().ToStream().To("out", windowed.Key(serde.String), serde.Int64)
	topo, err := sb.Build()
	if err != nil {
		b.Fatal(err)
	}
	app, err := runtime.New(topo, runtime.Config{
		App: "bench", Client: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, StateDir: b.TempDir(), Threads: 1,
	}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { done <- app.Run(ctx) }()
	for counted := int64(0); counted < int64(b.N); {
		<-time.After(20 * time.Millisecond)
		counted = 0
		err := app.Each("n", func(_ processor.TaskID, it state.Item) bool {
			n, _ := serde.Int64.Decode(it.Value)
			counted += n
			return true
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func preload(b *testing.B, addrs []string, n int) {
	b.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MaxBufferedRecords(1<<16))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	value := make([]byte, 100)
	for i := range n {
		cl.Produce(context.Background(), &kgo.Record{
			Topic: "in", Key: fmt.Appendf(nil, "key-%020d", i*i%9973), Value: value, Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)/10),
		}, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}
