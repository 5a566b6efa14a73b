// Package brokertest runs a whole broker inside a test, on a free port and a
// temporary folder, and speaks to it: by real clients, or frame by frame.
package brokertest
