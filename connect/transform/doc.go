// Package transform has the single-record transforms and predicates, and the
// Chain that applies them in the order a connector's configuration names them.
//
// Everything is pure: no I/O, no goroutine. A Chain belongs to one goroutine.
package transform
