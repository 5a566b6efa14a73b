// Package metadata holds what a broker knows about the cluster and about its
// configuration.
//
//   - Image is an immutable picture of the cluster: brokers, topics, partitions
//     and who leads them. Cache holds the newest one behind an atomic pointer;
//     the controller's UpdateMetadata requests replace it.
//   - The key tables describe every broker and topic config: type, default,
//     validator, synonyms, documentation, and whether it can change at run time.
//   - Configs puts the layers together: defaults, the broker's properties, the
//     dynamic overrides in the tree. It resolves the config of a topic and
//     answers DescribeConfigs.
//
// Readers of an Image need no lock and must not change it. Layer L1. The
// package starts no goroutine; callbacks run on the goroutine that applied the
// change.
package metadata
