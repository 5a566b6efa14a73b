// Package peertest holds tests of whole data flows on brokers that are not
// ours: what connectors, pipelines and the command line do on Leat, they do on
// Apache Kafka as well, by Kafka's protocol alone.
//
// Layer: tests only. It starts processes through deploy/testbed and owns no
// goroutine.
package peertest
