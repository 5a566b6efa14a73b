// Package coordination is the seam between the broker and the tree of znodes
// that holds the state of the cluster: who is alive, who is controller, which
// topics exist, who leads each partition, which configs are set.
//
// The package has three parts:
//
//   - Tree and Session, the small interface behind which stand a real
//     ZooKeeper ensemble or the embedded tree (package embedded). The
//     conformance suite in coordinationtest holds every implementation to the
//     same behaviour.
//   - Paths: one builder for each znode a broker reads or writes (paths.go).
//   - Codecs: one type for each znode payload. Encode writes the fields in the
//     order in which Kafka writes them, so that a byte comparison of two trees
//     is a fair comparison; Decode accepts every older version and ignores
//     fields it does not know.
//
// Layer L1: of the broker it imports only record, for the name of a partition. It
// starts no goroutine.
package coordination
