// Package clean decides what of a log may go: retention by time, size and start
// offset over the segments of package commitlog.
//
// Layer: L2, imports broker/commitlog. Nothing at or above the high watermark
// that the caller gives is ever removed, nor is the active segment unless it is
// rolled first. The package owns no goroutine; commitlog's Manager calls it.
package clean
