// Package testbed starts the real peers that Leat is tested against: Apache
// Kafka's tools and brokers, ZooKeeper, HDFS, kcat, Chromium and Python's
// Parquet readers, and the leat binary itself as a process.
//
// The scripts beside it do the work and can be used by hand: install fetches
// a component by package name, run runs it in the foreground. A test names
// what it needs; where the component is missing the test skips with the
// command that installs it, unless the environment variable LEAT_REQUIRE
// (a comma-separated list of components) names it: then it fails.
//
// Layer: tests only, imported by nothing that ships. Goroutines: one for each
// started process, which waits for its end; the test's cleanup ends and joins
// it.
package testbed
