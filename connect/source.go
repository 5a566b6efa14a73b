package connect

import "context"

// SourceTask reads from a system. The runtime calls Start once, then Poll (and
// Commit, if there is one) from one goroutine, then Stop once.
type SourceTask interface {
	// Start opens the source where the stored offsets say. ctx ends when the
	// task is stopped.
	Start(ctx context.Context, tc SourceContext, props map[string]string) error
	// Poll waits for records and returns them in order; the batch should stay
	// within some thousand records or a few MiB. It returns as soon as it has
	// something; nil, nil after a second or so without data is welcome, since
	// commits happen between polls. When ctx ends it returns nil, nil, or what
	// it has. The runtime owns the records.
	Poll(ctx context.Context) ([]*SourceRecord, error)
	// Stop closes the source. It is called after a failed Start or Poll too.
	Stop() error
}

// Committer is a SourceTask that wants to know what is stored.
type Committer interface {
	// Commit is called between polls after records were acknowledged by the
	// broker and their offsets stored: each entry is the last stored offset of
	// one source partition. An error is logged, no more.
	Commit(ctx context.Context, offsets []SourceOffset) error
}

// SourceOffset is a stored place in one part of a source.
type SourceOffset struct {
	Partition map[string]any
	Offset    map[string]any
}

// SourceContext is the runtime as a source task sees it.
type SourceContext interface {
	TaskContext
	// Offset is the last stored offset of a source partition; nil if none.
	// Integers come back as int64.
	Offset(ctx context.Context, partition map[string]any) (map[string]any, error)
	// Offsets lists every stored offset of this connector.
	Offsets(ctx context.Context) ([]SourceOffset, error)
}
