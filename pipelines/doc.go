// Package pipelines turns a YAML document into a running stream application:
// sources, steps and sinks, with typed expressions, without a line of Go.
//
// The way of a document: [Parse] reads it into a [Spec] and keeps every
// position; [Lint] types all expressions and lists every [Problem] with file,
// line, column and mend; [NewPlan] says, without touching anything, which
// topics and connectors it needs and builds its topology with the same DSL
// (package streams) that a Go program uses; [Run] creates the topics and runs
// topology and connectors; [Test] runs the document's own tests without a
// broker.
//
// Invariants: a document that lints clean builds; expressions are compiled
// once, are typed, and see neither the clock nor the environment; planning and
// running are idempotent.
//
// Layer: above streams and connect, below cmd. Goroutines: Run owns those of
// the streams runtime and of the connectors' herder and waits for both.
package pipelines
