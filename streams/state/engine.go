package state

// engine is the durable (or, in memory, committed) part of the stores of a
// task. get and scan return bytes which stay valid until the next commit; get's
// result is the caller's. Reads may run concurrently with each other and with
// one commit.
type engine interface {
	get(key []byte) (value []byte, ok bool, err error)
	// scan calls fn for lower <= key < upper in order; nil upper is open.
	scan(lower, upper []byte, fn func(key, value []byte) (bool, error)) error
	newBatch() batch
	// view is a consistent picture of what has been committed.
	view() (reader, error)
	// flush makes all commits durable.
	flush() error
	close() error
}

type reader interface {
	get(key []byte) (value []byte, ok bool, err error)
	scan(lower, upper []byte, fn func(key, value []byte) (bool, error)) error
	close() error
}

// batch collects writes which commit makes visible together. Its methods copy
// their arguments.
type batch interface {
	set(key, value []byte) error
	delete(key []byte) error
	deleteRange(lower, upper []byte) error
	size() int
	commit() error
}
