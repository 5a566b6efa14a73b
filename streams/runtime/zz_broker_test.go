package runtime_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func brokerCluster(t *testing.T, partitions int32, topics ...string) []string {
	b, err := broker.New(broker.Config{DataDir: t.TempDir(), Properties: map[string]string{
		"listeners": "PLAINTEXT://127.0.0.1:0", "group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "100",
	}}, testLog(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-done:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("broker not ready")
	}
	t.Cleanup(func() { cancel(); fmt.Println("broker end:", <-done) })
	addr := b.Addr("PLAINTEXT").String()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, tp := range topics {
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, tp); err != nil {
			t.Fatal(err)
		}
	}
	return []string{addr}
}
func cluster(t *testing.T, n int32, topics ...string) []string { return brokerCluster(t, n, topics...) }
