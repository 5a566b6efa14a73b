// Package state holds the stores of a task: key-value and window stores, in
// memory or on disk (pebble), with their changelogs.
//
// A [Set] owns the stores of one task. Writes stay in an overlay of maps until
// the task commits: [Set.Changes] hands out what the changelog topics need,
// and [Set.Apply] moves the overlay, the changelog offsets and the operator
// clocks into the engine in one batch. So the engine never holds anything that
// its changelog does not, and a crash at any point leaves data and offsets
// consistent: what is missing is read back from the changelog.
//
// Layout of an engine (one per task and kind), all keys sorted by bytes:
//
//	0x00 "format"                  -> version, one byte
//	0x00 "store" <name>            -> offset(8) topic id(16) clock(8) emitted(8)
//	<name> 0x00 'd' <key>          -> value of a key-value store
//	<name> 0x00 'd' <key> <start>  -> value of a window store; start: 8 bytes
//	<name> 0x00 'i' <start> <key>  -> nothing: the index by time
//
// Values of timestamped stores begin with the time, 8 bytes big-endian. Keys
// of changelog records are those of Kafka Streams: the key, and for window
// stores key, start and four zero bytes; the values carry no time, the record
// does. One reserved key, which ends in four 0xff bytes, carries the clock of
// a window store.
//
// Only the task's goroutine may use a Set, except [Set.View] and the views it
// returns, which read committed state from anywhere.
//
// Layer: above processor and serde. Owns no goroutine (pebble owns its own
// between Open and Close).
package state
