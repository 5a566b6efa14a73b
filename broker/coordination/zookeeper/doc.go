// Package zookeeper reads the tree of znodes of a running ZooKeeper.
//
// Layer 1, beside the embedded tree: it knows coordination's types and the
// client library, nothing of brokers. Reader gives the two reads of a
// coordination.Tree, without watches and without writes.
//
// Goroutines: those of the client library, and one that follows the state of
// the connection; Close ends them and waits for its own.
package zookeeper
