// Trending counts page views per minute with the streams library. It reads the
// topic page-views, JSON such as {"page": "/jobs", "bot": false}, and writes
// the count of each page and minute to page-counts once the minute is over.
//
//	go run ./examples/trending localhost:9092
package main
