// Package api answers the requests of the Kafka protocol: one file for each API
// key, each doing the same four things: decode, authorize, call one manager,
// encode. Decisions belong to the managers; what is here is the protocol's view
// of them: versions, error codes, null or empty.
//
// Layer: L4, above all managers. API implements server.Handler.
//
// Goroutines: none of its own. A handler runs on its connection's goroutine;
// answers that have to wait come on the goroutine of the manager that completes
// them. Handlers of the administrative keys may block their connection while
// they wait for the controller, within the request's own time-out and until
// Close.
//
// Invariants:
//   - every request is answered exactly once, or its connection is closed;
//   - a body that cannot be decoded closes the connection and nothing else;
//   - only errors.go turns an error into a code.
package api
