// Package perf loads a cluster and measures it: a realistic producer and
// consumer, which are what applications run, and raw ones, which send frames
// encoded once and throw away what they fetch, so that the measured program is
// the broker and not the client.
//
// Loads are open: with a rate, a record's latency counts from the moment it was
// due, not from the moment the client got round to it, so a stall is charged to
// every record it delays.
//
// It belongs to cmd. Each run owns its goroutines and waits for them before it
// returns.
package perf
