// Package foreign runs clients and tools that others wrote against a broker as
// a process of its own: kcat (librdkafka), sarama, franz-go, the console
// clients and the command-line tools of Apache Kafka 3.9 and 4.3; clients as old
// as 0.8, 0.9 and 0.10; and clients over TLS, with stores that keytool made.
//
// Layer: tests only. Goroutines: those of the processes that deploy/testbed
// starts, and of the clients.
package foreign
