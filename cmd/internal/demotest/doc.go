// Package demotest runs the built binary's demo as a user does, ends it in
// every way it can end, and checks what it leaves: the summary, the Parquet
// files as DuckDB reads them, and the windows against the exported events.
//
// Layer: tests only. Goroutines: those of the processes that deploy/testbed
// starts.
package demotest
