// Package auth says who a client is and what it may do.
//
// Layer: L1. A Principal is the outcome of a connection's authentication; an
// Authorizer answers whether a principal may apply an operation to a resource.
// The package knows no sockets and no requests; it starts no goroutine.
package auth
