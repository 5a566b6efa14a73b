// Package exchange lets a running Kafka 3.9 and Leat take over each other's
// folders: after an orderly stop and after kill -9, the other one serves the
// same records, offsets, timestamps, groups and settings.
//
// Layer: tests only. Goroutines: those of the processes that deploy/testbed
// starts, and of the clients.
package exchange
