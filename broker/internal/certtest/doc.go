// Package certtest makes certificates for tests: an authority and what it
// signs, as PEM texts, which every peer can read.
//
// Layer: tests only, on the standard library alone.
package certtest
