// Package window defines time windows: how they are cut, how long they accept
// late records, and when they close.
//
// Windows are half-open [start, end) and aligned to the epoch. All times are
// milliseconds since the epoch. Layer: beside processor; standard library only.
// Owns no goroutine.
package window
