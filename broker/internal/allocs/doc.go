// Package allocs guards hot paths against allocations in tests.
//
// Layer: tests only, on the standard library alone.
package allocs
