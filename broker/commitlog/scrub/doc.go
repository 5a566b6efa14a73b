// Package scrub re-reads the sealed segments of all logs in the background, so
// that bytes which the disk has changed are found before somebody needs them.
//
// Layer: L2, imports broker/commitlog and broker/record.
//
// Each sealed segment is read once per period; when in the period follows from
// its name, so that the work is spread evenly and a restart does not begin it
// anew. The bytes per second of all reading together are bounded. What is bad is
// marked in the log by commitlog.SegmentCheck, where fetches meet it.
//
// Two parts decide and do nothing else: the schedule says which segment comes
// next and when, the budget says how long to wait after bytes were read. Both
// take the time as an argument.
//
// Goroutines: Scrubber.Run is the only one.
package scrub
