// Package task executes one sub-topology on one partition. A [Task] is pure:
// records and the time go in, effects come out (records for sinks and
// changelogs, positions to commit); it starts no goroutine, reads no clock and
// talks to no broker. Package runtime drives it against Kafka, package
// streamstest without.
//
// Order of events for the shell:
//
//	New → restore the stores → Start
//	Enqueue … Process (until it has nothing) … Tick … Outputs
//	commit: deliver all Outputs durably → Changes → deliver those durably →
//	        Commit → store the Positions taken before
//	Close
//
// Delivering the outputs before the changes is what makes at-least-once hold
// for results that are emitted once: the clock among the changes says that
// they have been emitted.
//
// Among the inputs the record with the lowest time goes first. Nodes are
// called depth first, children in the order in which they were built.
//
// Layer: above topology and state. Owns no goroutine.
package task
