// Package streams builds stream processing programs over Kafka topics: typed
// sources, stateless steps, groupings, windows and aggregations, compiled to a
// [topology.Topology] that package runtime runs as a consumer group and
// package streamstest runs without a broker.
//
// Operations whose result has other types are functions (From, Map, MapValues,
// FlatMap, SelectKey, GroupBy, Count, Aggregate, Reduce); those which keep the
// types are methods (Filter, Peek, Merge, Branch, GroupByKey, Window,
// EmitOnClose, Late, ToStream, To) and chain in the order of the data. The name
// of a step comes first; it names stores and internal topics, and keeping it
// keeps the state.
//
//	b := streams.New("views")
//	views := streams.From(b, "page-views", serde.String, serde.JSON[View]()).
//		Filter("humans", func(r streams.Rec[string, View]) bool { return !r.Value.Bot })
//	byPage := streams.SelectKey(views, "by-page", serde.String,
//		func(r streams.Rec[string, View]) string { return r.Value.Page })
//	minutes := byPage.GroupByKey().Window(window.Tumbling(time.Minute).Grace(10 * time.Second))
//	streams.Count(minutes, "page-counts").EmitOnClose().ToStream().
//		To("page-counts", windowed.Key(serde.String), serde.Int64)
//	topo, err := b.Build()
//
// Mistakes in the use of a builder are collected and reported by Build.
//
// Layer: the top of streams. Pure: owns no goroutine and no I/O.
package streams
