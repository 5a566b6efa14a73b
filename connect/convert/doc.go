// Package convert has the converters between record values and bytes: JSON
// (with and without the schema envelope), string and raw bytes.
//
// Converters hold only their configuration and a bounded schema cache; they
// start no goroutine and may be used concurrently.
package convert
