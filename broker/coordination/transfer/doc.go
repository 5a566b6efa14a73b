// Package transfer carries the tree of a Kafka cluster over into a tree of one
// broker's own: it reads what the cluster knows (Read), decides what of it holds
// for that broker (a Plan, which can be shown before anything happens), and
// writes it into an empty tree (Plan.Apply).
//
// What is carried over as it is: the cluster's id, configurations, access lists,
// delegation tokens, features, offsets of old consumers, marks of topics that
// are to be deleted, the controller's epoch and the last block of producer ids.
// Topics are rewritten: the broker becomes the only replica, and the leader, of
// each partition that it holds in sync. Other partitions keep their number, their
// replicas and no leader, so that keys go on hashing to the partitions they
// always went to and nothing is served from an empty log. What belongs to a
// moment (registrations, notices, reassignments under way) is left out, and the
// plan says so where it matters.
//
// Layer 1: coordination's types only. Pure but for the calls of Source and Tree.
// Goroutines: none outlive a call.
package transfer
