// Package streamstest runs a topology without a broker, with the same tasks
// that package runtime runs: topics are slices in memory, the wall clock is
// virtual, and the test decides when to commit, crash, restart and move on.
//
//	d := streamstest.New(t, topo)
//	in := streamstest.In(d, "words", serde.String, serde.String)
//	out := streamstest.Out(d, "counts", serde.String, serde.Int64)
//	in.Pipe("a", "x", 0)
//	got := out.Drain()
//
// Each piped record is processed to the end, internal topics included, before
// Pipe returns. Records are committed only by [Driver.Commit]; what a crash
// loses is what a real one may lose.
//
// Layer: above task, for tests. Owns no goroutine.
package streamstest
