// Package coordinationtest is the conformance suite of coordination.Tree: every
// implementation must pass Run. It imports only the interface, the standard
// library and testing; it starts no goroutine that outlives a test.
package coordinationtest
