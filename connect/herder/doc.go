// Package herder decides which connectors and tasks run, and keeps them
// running. Standalone runs a fixed list of connectors in one process.
//
// A task that fails is started again after a pause that doubles with each
// failure; it never takes another task or connector down with it. States are
// Kafka Connect's.
//
// Run blocks and owns one goroutine per connector and per task. The methods
// that report or steer may be called from any goroutine while it runs.
package herder
