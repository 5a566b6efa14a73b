// Package broker puts a Leat broker together: it knows every package below it
// and does no work itself.
//
// Start with broker.go: its steps, from top to bottom, are the map of a broker.
// The way of a record through it is server → api/produce.go → replica → commitlog.
//
// Invariants:
//   - what a step starts, the stop undoes, in the reverse order: clients are
//     let go first, the tree of znodes is closed last;
//   - every goroutine below belongs to a part that life started, and has ended
//     when Run returns;
//   - nothing is kept in a log directory but what Kafka keeps there: the embedded
//     tree has a folder of its own beside it.
package broker
