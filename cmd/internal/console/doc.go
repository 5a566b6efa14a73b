// Package console is the web console: pages made on the server, small live
// parts by server-sent events, and the same data as JSON under /api/v1.
//
// A [Console] looks at a cluster through the Kafka protocol only, so that it
// serves any cluster; pipelines, connectors and Parquet files appear where the
// caller has some. The rules that keep it fast:
//
//   - No page scans the cluster. One sampler reads the cluster once a second
//     at most, and less often when that takes long, and publishes an immutable
//     [snapshot]; lists are cut from it.
//   - Everything towards the browser is bounded: records per answer and per
//     event, bytes per value, seconds per read, readers at the same time.
//   - History for the charts is kept in rings of fixed size.
//
// The answers of /api/v1 are those of the command line's --format json: both
// encode the types of cmd/internal/admin.
//
// A changed pipeline document is tried on a few records by the driver that
// tests use, without a broker; nothing that runs is touched. Where the caller
// gives a trial, the overview can break parts of the system and shows whether
// the counts are the same in spite of it.
//
// Run owns the sampler's goroutine. Every request works on its own goroutine
// and ends with its context.
//
// # House rules for the browser side
//
// htmx is version 4, whose idioms differ from most examples: attributes are
// not inherited (or name.inherited must be said), answers of class 4xx and 5xx
// are swapped in too, a GET sends only the values named by hx-include. Pages
// use one pattern: ask for the whole page again and take one element of it
// (hx-select equals hx-target), so that every fragment is a page that can be
// opened, shared and tested. There is no inline script or style: the content
// security policy forbids both. console.js holds all script of our own; it
// finds its work by data attributes: data-live (text by key of the event
// stream), data-chart (a uPlot chart of series), data-tail (the live
// tail), data-editor (a text with line numbers).
package console
