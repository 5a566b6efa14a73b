// Package processor holds what every node of a stream topology is made of:
// records, the Processor interface, the Context a processor works through,
// the encoders at the edges, and the classes of errors.
//
// What flows along an edge is a [Message], always a pointer to a [Record] of
// the types the two nodes agreed on. It is lent for the length of one Process
// call: the sender reuses it for its next record, so a processor which wants
// to keep something copies it. This is why no record costs an allocation at an
// edge although the graph itself knows no types.
//
// Invariants: all calls on the processors of one task come from one goroutine,
// one at a time; time is in milliseconds since the epoch, as Kafka's record
// timestamps, and -1 means "none".
//
// Layer: above serde, below state, topology and task. Owns no goroutine.
package processor
