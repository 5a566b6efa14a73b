package perf

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHistogramBuckets(t *testing.T) {
	last := -1
	for _, n := range []int64{0, 1, 63, 64, 127, 128, 129, 1000, 1 << 20, 1<<40 + 12345, 1<<63 - 1} {
		b := bucketOf(n)
		if b < last || b >= bucketCount {
			t.Fatalf("bucket of %d is %d, after %d, of %d", n, b, last, bucketCount)
		}
		last = b
		if up := upperBound(b); up < n || float64(up-n) > float64(n)/(1<<subBits)+1 {
			t.Errorf("%d falls into a bucket up to %d", n, up)
		}
		if b > 0 && upperBound(b-1) >= n {
			t.Errorf("%d also fits the bucket before", n)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 {
		t.Error("an empty histogram is not zero")
	}
	random := rand.New(rand.NewPCG(1, 2))
	exact := make([]int64, 10_000)
	for i := range exact {
		exact[i] = int64(random.ExpFloat64() * float64(time.Millisecond))
		h.Record(time.Duration(exact[i]))
	}
	slices.Sort(exact)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 0.999, 1} {
		want := exact[max(int(q*float64(len(exact))+0.5), 1)-1]
		got := int64(h.Quantile(q))
		if got < want || float64(got-want) > float64(want)/32+1 {
			t.Errorf("q%v: %d, want %d", q, got, want)
		}
	}
	if int64(h.Max()) != exact[len(exact)-1] || h.Count() != int64(len(exact)) {
		t.Error("max or count is wrong")
	}
	h.Record(-time.Second)
	if h.Quantile(0) != 0 {
		t.Error("a negative duration is not zero")
	}
}

// A stall must be charged to every unit it delays: due times do not move.
func TestScheduleIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newSchedule(start, 100)
		for i := range 5 {
			if i == 2 {
				<-time.After(100 * time.Millisecond) // the stall
			}
			due, err := s.next(t.Context())
			if want := start.Add(time.Duration(i) * 10 * time.Millisecond); err != nil || !due.Equal(want) {
				t.Errorf("unit %d due %v, want %v (%v)", i, due.Sub(start), want.Sub(start), err)
			}
		}
		if behind := time.Since(start); behind != 110*time.Millisecond {
			t.Errorf("caught up after %v", behind)
		}
	})
}

func cluster(t *testing.T, partitions int32) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(partitions, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func connect(t *testing.T, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addrs...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestClientsCount(t *testing.T) {
	addrs, ctx := cluster(t, 3), bounded(t)
	r, err := Produce(ctx, connect(t, addrs), Load{Topic: "t", Records: 500, Size: 100, Rate: 5000}, nil)
	if err != nil || r.Records != 500 || r.Failed != 0 || r.Bytes != 50_000 || r.LatencyCount != 500 || r.LatencyMax < r.LatencyP50 {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err = Consume(ctx, connect(t, addrs, kgo.ConsumeTopics("t")), Reading{Topic: "t", Records: 500}, nil)
	if err != nil || r.Records != 500 || r.Bytes != 50_000 || r.LatencyCount != 500 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestRawFramesCount(t *testing.T) {
	addrs, ctx := cluster(t, 3), bounded(t)
	send := RawProduce{Load: Load{Topic: "t", Records: 1000, Size: 50}, Acks: -1, Batch: 100, Connections: 2, InFlight: 3}
	r, err := send.Raw(ctx, connect(t, addrs), nil)
	if err != nil || r.Records != 1000 || r.Failed != 0 || r.LatencyCount != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	// The records must be good enough for a strict client.
	plain, err := Consume(ctx, connect(t, addrs, kgo.ConsumeTopics("t")), Reading{Topic: "t", Records: 1000}, nil)
	if err != nil || plain.Records != 1000 || plain.Bytes != 50_000 {
		t.Fatalf("%+v, %v", plain, err)
	}
	fetch := RawConsume{Reading: Reading{Topic: "t", Records: 1000}, Connections: 2, MaxBytes: 1 << 20, MaxPartitionBytes: 3000, MaxWaitMillis: 100}
	r, err = fetch.Raw(ctx, connect(t, addrs), nil)
	if err != nil || r.Records != 1000 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestLatencyCountsBothWays(t *testing.T) {
	addrs, ctx := cluster(t, 3), bounded(t)
	load := Load{Topic: "t", Records: 300, Size: 100, Rate: 3000}
	kinds := map[string]func() (LatencyReport, error){
		"latency": func() (LatencyReport, error) {
			return Latency(ctx, connect(t, addrs, kgo.ProducerLinger(0)), connect(t, addrs, kgo.ConsumeTopics("t")), load, nil)
		},
		"latency raw": func() (LatencyReport, error) {
			return RawLatency{Load: load, Acks: 1}.Raw(ctx, connect(t, addrs), nil)
		},
	}
	for _, mode := range []string{"latency raw", "latency"} {
		// Records of another run must not count, be they there before or come meanwhile.
		if _, err := Produce(ctx, connect(t, addrs), Load{Topic: "t", Records: 20, Size: 100, Rate: 5000}, nil); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		other := make(chan error, 1)
		go func() { other <- noise(ctx, addrs, stop) }()
		r, err := kinds[mode]()
		close(stop)
		if err := <-other; err != nil {
			t.Fatal(err)
		}
		if err != nil || r.Mode != mode || r.Topic != "t" || r.Sent != 300 || r.Received != 300 || r.Failed != 0 {
			t.Fatalf("%s: %+v, %v", mode, r, err)
		}
		if r.EndToEndP50 <= 0 || r.EndToEndP90 < r.EndToEndP50 || r.EndToEndP99 < r.EndToEndP90 || r.EndToEndMax < r.EndToEndP999 ||
			r.AckMax < r.AckP90 || r.AckP90 < r.AckP50 || r.LateMax > r.EndToEndMax {
			t.Fatalf("%s: %+v", mode, r)
		}
	}
	// What raw latencies send is good enough for a strict client.
	plain, err := Consume(ctx, connect(t, addrs, kgo.ConsumeTopics("t")), Reading{Topic: "t", Records: 640}, nil)
	if err != nil || plain.LatencyCount < 640 {
		t.Fatalf("%+v, %v", plain, err)
	}
}

// noise measures raw latencies of its own until stop.
func noise(ctx context.Context, addrs []string, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return err
	}
	defer cl.Close()
	go func() {
		defer cancel()
		<-stop
	}()
	_, err = RawLatency{Load: Load{Topic: "t", Size: 100, Rate: 500}, Acks: -1}.Raw(ctx, cl, nil)
	return quiet(ctx, err)
}

// Each record of a raw latency counts from its own due time, so what is sent
// late because of a stall is charged with it.
func TestRawLatencyChargesStalls(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, addrs := bounded(t), c.ListenAddrs()
	const stall, rate, records = 200 * time.Millisecond, 1000, 300
	first := true
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if first {
			first = false
			<-time.After(stall)
		}
		return nil, nil, false
	})
	r, err := RawLatency{Load: Load{Topic: "t", Records: records, Size: 100, Rate: rate}, Acks: 1}.Raw(ctx, connect(t, addrs), nil)
	if err != nil || r.Received != records {
		t.Fatalf("%+v, %v", r, err)
	}
	// 200 of 300 were due during the stall: record i waited for 200 ms - i ms.
	if r.AckMax < 200 || r.EndToEndMax < 200 || r.AckP50 < 45 || r.EndToEndP50 < 45 {
		t.Errorf("the stall is not charged to all that it delayed: %+v", r)
	}
}

func TestRawLatencyErrors(t *testing.T) {
	addrs, ctx := cluster(t, 1), bounded(t)
	good := Load{Topic: "t", Records: 5, Size: 100, Rate: 1000}
	with := func(change func(*RawLatency)) RawLatency {
		l := RawLatency{Load: good, Acks: 1}
		change(&l)
		return l
	}
	for _, tt := range []struct {
		name string
		load RawLatency
		want error
	}{
		{"no rate", with(func(l *RawLatency) { l.Rate = 0 }), ErrConfig},
		{"no answer", with(func(l *RawLatency) { l.Acks = 0 }), ErrConfig},
		{"small records", with(func(l *RawLatency) { l.Size = 3 }), ErrConfig},
		{"missing topic", with(func(l *RawLatency) { l.Topic = "none" }), kerr.UnknownTopicOrPartition},
	} {
		if r, err := tt.load.Raw(ctx, connect(t, addrs), nil); !errors.Is(err, tt.want) || r.Mode != "" {
			t.Errorf("%s: %+v, %v, want %v", tt.name, r, err, tt.want)
		}
	}
}

// The first record that is refused ends a raw load, and is told.
func TestRawFailuresAreTold(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, addrs := bounded(t), c.ListenAddrs()
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		topic, partition := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
		partition.ErrorCode = kerr.NotEnoughReplicas.Code
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, partition)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	load := Load{Topic: "t", Size: 100, Rate: 100}
	r, err := RawLatency{Load: load, Acks: -1}.Raw(ctx, connect(t, addrs), nil)
	if !errors.Is(err, kerr.NotEnoughReplicas) || r.Failed == 0 || r.Sent != 0 {
		t.Errorf("latency: %+v, %v", r, err)
	}
	p, err := RawProduce{Load: load, Acks: -1, Batch: 10, Connections: 1, InFlight: 1}.Raw(ctx, connect(t, addrs), nil)
	if !errors.Is(err, kerr.NotEnoughReplicas) || p.Failed != 10 || p.Records != 0 {
		t.Errorf("produce: %+v, %v", p, err)
	}
}

func TestLatencyReportsReadErrors(t *testing.T) {
	addrs, ctx := cluster(t, 1), bounded(t)
	consumer := connect(t, addrs, kgo.ConsumeTopics("t"))
	consumer.Close()
	_, err := Latency(ctx, connect(t, addrs), consumer, Load{Topic: "t", Records: 10, Size: 100, Rate: 1000}, nil)
	if !errors.Is(err, kgo.ErrClientClosed) {
		t.Fatalf("%v", err)
	}
}

func TestDurationEndsALoad(t *testing.T) {
	addrs, ctx := cluster(t, 1), bounded(t)
	const short = 50 * time.Millisecond
	loads := map[string]func() (Report, error){
		"produce": func() (Report, error) {
			return Produce(ctx, connect(t, addrs), Load{Topic: "t", For: short, Size: 16, Rate: 100}, nil)
		},
		"produce raw": func() (Report, error) {
			return RawProduce{Load: Load{Topic: "t", For: short, Size: 16, Rate: 1000}, Acks: 1, Batch: 10, Connections: 1, InFlight: 1}.Raw(ctx, connect(t, addrs), nil)
		},
		"consume": func() (Report, error) {
			return Consume(ctx, connect(t, addrs, kgo.ConsumeTopics("t")), Reading{Topic: "t", For: short}, nil)
		},
		"consume raw": func() (Report, error) {
			return RawConsume{Reading: Reading{Topic: "t", For: short}, Connections: 1, MaxBytes: 1 << 20, MaxPartitionBytes: 1 << 20, MaxWaitMillis: 10}.Raw(ctx, connect(t, addrs), nil)
		},
	}
	for _, name := range []string{"produce", "produce raw", "consume", "consume raw"} {
		if r, err := loads[name](); err != nil || r.Mode != name || r.Failed != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	r, err := RawLatency{Load: Load{Topic: "t", For: short, Size: 16, Rate: 1000}, Acks: 1}.Raw(ctx, connect(t, addrs), nil)
	if err != nil || r.Sent == 0 || r.Received != r.Sent {
		t.Errorf("latency raw: %+v, %v", r, err)
	}
}

func TestLoadErrors(t *testing.T) {
	addrs, ctx := cluster(t, 1), bounded(t)
	good := Load{Topic: "t", Records: 1, Size: 100}
	tests := []struct {
		name string
		run  func() (Report, error)
		want error
	}{
		{"small records", func() (Report, error) { return Produce(ctx, connect(t, addrs), Load{Topic: "t", Size: 3}, nil) }, ErrConfig},
		{"no topic", func() (Report, error) { return Produce(ctx, connect(t, addrs), Load{Size: 100}, nil) }, ErrConfig},
		{"negative rate", func() (Report, error) {
			return Produce(ctx, connect(t, addrs), Load{Topic: "t", Size: 100, Rate: -1}, nil)
		}, ErrConfig},
		{"no batch", func() (Report, error) {
			return RawProduce{Load: good, Acks: 1, Connections: 1, InFlight: 1}.Raw(ctx, connect(t, addrs), nil)
		}, ErrConfig},
		{"no answer", func() (Report, error) {
			return RawProduce{Load: good, Acks: 0, Batch: 1, Connections: 1, InFlight: 1}.Raw(ctx, connect(t, addrs), nil)
		}, ErrConfig},
		{"no connection", func() (Report, error) {
			return RawProduce{Load: good, Acks: 1, Batch: 1, InFlight: 1}.Raw(ctx, connect(t, addrs), nil)
		}, ErrConfig},
		{"missing topic", func() (Report, error) {
			return RawConsume{Reading: Reading{Topic: "none"}, Connections: 1, MaxBytes: 1, MaxPartitionBytes: 1}.Raw(ctx, connect(t, addrs), nil)
		}, kerr.UnknownTopicOrPartition},
	}
	for _, tt := range tests {
		if _, err := tt.run(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestScanBatches(t *testing.T) {
	two := append(rawBatch(3, 20, nil), rawBatch(5, 20, nil)...)
	first := len(rawBatch(3, 20, nil))
	two[first+7] = 3 // base offset of the second batch
	tests := []struct {
		name               string
		data               []byte
		from               int64
		next, records, end int64
	}{
		{"whole", two, 0, 8, 8, int64(len(two))},
		{"from the middle of a batch", two, 2, 8, 6, int64(len(two))},
		{"torn", two[:len(two)-1], 0, 3, 3, int64(first)},
		{"torn header", two[:first+30], 0, 3, 3, int64(first)},
		{"nothing", nil, 7, 7, 0, 0},
		{"garbage", make([]byte, 100), 7, 7, 0, 0},
	}
	for _, tt := range tests {
		next, records, size := scanBatches(tt.data, tt.from)
		if next != tt.next || records != tt.records || size != tt.end {
			t.Errorf("%s: %d, %d, %d; want %d, %d, %d", tt.name, next, records, size, tt.next, tt.records, tt.end)
		}
	}
}

func TestSplit(t *testing.T) {
	list := []share{{addr: "a", partitions: []int32{0, 2, 4}}, {addr: "b", partitions: []int32{1}}}
	if got := split(list, 2, false); len(got) != 3 || !slices.Equal(got[0].partitions, []int32{0, 4}) {
		t.Errorf("%v", got)
	}
	if got := split(list, 2, true); len(got) != 4 || !slices.Equal(got[3].partitions, []int32{1}) {
		t.Errorf("%v", got)
	}
}

func TestProbeKnowsItsRun(t *testing.T) {
	p, due := newProbe(50, []byte("run 1")), time.Unix(5, 6)
	mine := slices.Clone(p.batch)
	p.stamp(mine, due)
	mine[7], mine[15] = 9, 3 // the broker sets offset and leader epoch
	if got, ok := p.due(mine); !ok || !got.Equal(due) {
		t.Errorf("%v, %v", got, ok)
	}
	for name, other := range map[string][]byte{
		"other run":  newProbe(50, []byte("run 2")).batch,
		"other size": newProbe(51, []byte("run 1")).batch,
		"no key":     rawBatch(1, 56, nil),
		"no stamp":   p.batch,
	} {
		if got, ok := p.due(other); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func BenchmarkHistogram(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
}

func BenchmarkScanBatches(b *testing.B) {
	var data []byte
	for range 64 {
		data = append(data, rawBatch(100, 100, nil)...)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		scanBatches(data, 0)
	}
}
