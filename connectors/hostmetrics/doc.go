// Package hostmetrics is a source of system figures of the host it runs on:
// CPU, memory, disks, network, load and processes, read from /proc by gopsutil.
//
// Each figure is one record {host, name, value, unit, type, at, labels} with
// OpenTelemetry's names, keyed by host so that one host stays in order.
// Counters are the raw running totals of the system; utilisations are shares
// between 0 and 1 over the time since the sample before, which the task keeps
// itself. It starts no goroutine.
package hostmetrics
