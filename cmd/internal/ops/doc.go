// Package ops is what every long-running leat process shares: the admin HTTP
// server (metrics, health, profiles), the logger, signals and the memory limit.
//
// It belongs to cmd. Goroutines: Server.Run owns the HTTP server and stops it
// before it returns; Supervise owns the goroutine of the function it runs and
// returns only when that has ended, unless a second signal or the deadline
// forces it.
package ops
