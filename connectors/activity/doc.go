// Package activity is a source of made-up user events: log-ins, page views,
// searches, clicks, shares and likes, as a busy site would send them.
//
// The n-th event of a seed is always the same, but for its time stamp; a
// restarted task goes on with the event after the last stored one, so the
// sequence in event_id has neither gaps nor repetitions. Members and pages
// follow Zipf's law, and search terms trend: in every trend period another
// term is hot. It starts no goroutine.
package activity
