package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/runtime"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

type view struct {
	Page string `json:"page"`
	Bot  bool   `json:"bot"`
}

// build is the whole program: the rest only runs it.
func build() (*topology.Topology, error) {
	b := streams.New("trending")
	humans := streams.From(b, "page-views", serde.String, serde.JSON[view]()).
		Filter("humans", func(r streams.Rec[string, view]) bool { return !r.Value.Bot })
	byPage := streams.SelectKey(humans, "by-page", serde.String, func(r streams.Rec[string, view]) string { return r.Value.Page })
	minutes := byPage.GroupByKey().
		Window(window.Tumbling(time.Minute).Grace(5 * time.Second).CloseWhenIdle(10 * time.Second))
	streams.Count(minutes, "page-counts").EmitOnClose().ToStream().
		To("page-counts", windowed.Key(serde.String), serde.Int64)
	return b.Build()
}

func main() {
	brokers := "localhost:9092"
	if len(os.Args) > 1 {
		brokers = os.Args[1]
	}
	if err := run(brokers); err != nil {
		fmt.Fprintln(os.Stderr, "trending:", err)
		os.Exit(1)
	}
}

func run(brokers string) error {
	topo, err := build()
	if err != nil {
		return err
	}
	app, err := runtime.New(topo, runtime.Config{App: "trending", Client: []kgo.Opt{kgo.SeedBrokers(brokers)}}, slog.Default(), nil)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return app.Run(ctx)
}
