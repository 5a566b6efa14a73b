// Package store keeps the offsets of source connectors: how far each part of a
// source has been stored in the log.
//
// A File keeps all of them in one JSON document that is replaced atomically.
// It starts no goroutine; its methods may be called concurrently.
package store
