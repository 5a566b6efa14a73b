// Package robust runs the broker as a process of its own and treats it badly:
// kill -9 and SIGSTOP under load, full disks, frames that are none. Clients
// keep a history of what they were told, and checkers compare it with what is
// in the log afterwards.
//
// Layer: tests only. Goroutines: those of the clients, which end with the load
// they belong to, and of the processes that deploy/testbed starts.
package robust
