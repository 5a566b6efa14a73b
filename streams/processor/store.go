package processor

import "time"

// StoreKind is the shape of a state store.
type StoreKind string

// The kinds of stores.
const (
	KeyValueStore StoreKind = "key-value"
	WindowStore   StoreKind = "window"
)

// StoreSpec describes a store without opening it. The typed handles of package
// state are made of one; the task opens the stores of its sub-topology.
type StoreSpec struct {
	Name string
	Kind StoreKind
	// InMemory keeps the store in memory only; it is rebuilt from its
	// changelog after a restart. Otherwise it is on disk.
	InMemory bool
	// NoChangelog leaves the store out of the changelog: its content is lost
	// with the machine.
	NoChangelog bool
	// Timestamped stores keep the time of each value beside it.
	Timestamped bool
	// Retention is how long a window store keeps a window, counted from its
	// start by the store's clock. Windows which may still change or have not
	// been emitted as final are kept however short it is.
	Retention time.Duration
	// WindowSize is the length of the windows of a window store.
	WindowSize time.Duration
	// Grace is how long after its end a window of a window store may change.
	Grace time.Duration
	// TopicConfig overrides settings of the changelog topic.
	TopicConfig map[string]string
}
