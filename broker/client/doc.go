// Package client builds Kafka clients from one Config, for everything in Leat
// that talks to a cluster as a client: streams, connect, pipelines and the
// command line.
//
// It is an island: it knows franz-go and nothing of the broker's packages, so
// what is built on it runs against any Kafka. It keeps no state; the clients it
// returns own their goroutines until they are closed.
package client
