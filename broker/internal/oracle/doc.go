// Package oracle compares the broker with running Apache Kafkas: 3.9 on a
// ZooKeeper, and 4.3 for the versions that only it serves.
//
// A row (rows_test.go and its siblings) is a small conversation: it is held with
// Leat and with Kafka, once for every version of its API, over bare TCP frames.
// What comes back is written down field by field; the two transcripts must agree
// or the difference stands in the table of differences (differences_test.go),
// with its reason. A listed difference that no longer occurs fails the test, so
// that the table stays true.
//
// To add a row: append a row to the table of its API. To look at one row:
//
//	go test ./broker/internal/oracle -run 'TestKafkaAgrees/Fetch/unknown_partition' -v
//
// Kafka is started once for all rows. LEAT_ORACLE="3.9=HOST:PORT 4.3=HOST:PORT"
// names brokers that run already, with the settings of peer_test.go, which
// shortens work on rows. The flag -show prints the transcripts.
//
// Compared are: answered, closed or silent; every field of the decoded answer
// with null and empty told apart; bytes left over. Not compared are: the wording
// of error messages and documentation, the order of arrays whose elements have
// names, and values that must differ (see values_test.go).
//
// Layer: tests only. Goroutines: those of the test.
package oracle
