// Package group coordinates consumer groups: membership by the classic
// rebalance protocol, and committed offsets.
//
// Layer: L3. Shard is pure and implements coordinator.Shard; Service is the
// facade that the API handlers call, with kmsg's requests and responses.
//
// A group lives in one partition of __consumer_offsets, chosen by the hash of
// its name (PartitionOf). What the log holds is Kafka's, byte for byte: one
// record per committed offset, one per group with its members and assignment.
// Waiting members, timers and half-finished rebalances are volatile and are
// made good by the clients after a fail-over.
package group
