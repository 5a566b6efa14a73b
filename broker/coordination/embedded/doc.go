// Package embedded is the tree of znodes for a broker without ZooKeeper: the
// same semantics (versions, ephemerals, sequence nodes, one-shot watches,
// sessions, multi) on the local disk.
//
// It has two halves:
//
//   - core.go, tx.go, watch.go: the pure core. Operations and the time go in,
//     results, changes and fired watches come out. No goroutine, lock, clock or
//     I/O.
//   - store.go, wal.go, snapshot.go, client.go: the durable shell. One goroutine
//     (Store.Run) takes calls from a bounded queue, applies a batch of them to the
//     core, appends their changes to the write-ahead log, syncs once for the
//     batch, and only then answers and delivers watches. Nobody ever sees a
//     change that a crash could undo.
//
// # Files
//
// All integers are little-endian. A folder holds:
//
//	log-<16 hex digits>       changes after the snapshot of the same number
//	snapshot-<16 hex digits>  the whole tree; the number is the last zxid in it
//	lock                      held while a Store is open
//
// A log is a sequence of records, each one transaction:
//
//	size  u32   bytes of body
//	crc   u32   CRC-32C of body
//	body        zxid i64, time i64 (ms), then changes until the end of the body:
//	            kind u8, path (u16 size + bytes), then by kind
//	            create: owner i64, data (u32 size + bytes)
//	            set:    data
//	            delete: nothing
//
// Changes are stored, not requests: replay needs no validation and no session
// state. Versions and child counters follow from the changes. Recovery reads the
// newest whole snapshot and the logs from it on, and cuts the last log at the
// first record that is short or whose CRC does not match (a torn tail). A bad
// record anywhere else is corruption and refuses to open.
//
// A snapshot begins with "LEATTREE", a version u32, the last zxid i64, and the
// number of nodes u64; the nodes follow, parents before children; a CRC-32C of
// everything before it ends the file. It is written under a temporary name, synced, renamed,
// and the folder synced; then older files are removed.
//
// Sessions are not stored: a process that ends takes its sessions with it, and
// Open deletes the ephemeral nodes that they left.
package embedded
