// Package topology is the graph a streams program compiles to: sources,
// processors, sinks, the edges between them, the stores, and the sub-topologies
// they fall into. The Go DSL (package streams) and YAML pipelines both build
// their graphs with [Builder]; the graph knows no types of keys and values.
//
// A [Topology] is immutable and safe for concurrent use. Names are stable:
// they name stores and internal topics, so that a program which keeps its
// names keeps its state. Internal topics are named as those of Kafka Streams:
// <application>-<store>-changelog and <application>-<name>-repartition.
//
// A sub-topology is what must run in one task: all nodes connected by edges or
// by a shared store. Topics, also repartition topics, connect sub-topologies.
//
// Layer: above processor; pure. Owns no goroutine.
package topology
