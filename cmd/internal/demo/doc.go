// Package demo runs everything at once in one process: a broker in a folder of
// its own, sources of host metrics, user activity and a web server's log, the
// ready pipelines, a Parquet export, the console and the admin server.
//
// Nothing in it is special: the parts are those that server, connector and
// pipeline commands run, and they talk to each other by the Kafka protocol.
//
// Invariants: parts stop in the reverse order of their start, so that what a
// part has acknowledged is still read by the one behind it; a temporary folder
// is removed at the end, whatever the end was.
//
// Layer: cmd. Goroutines: [Run] owns one per part and waits for all of them.
package demo
