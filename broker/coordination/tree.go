package coordination

import (
	"context"
	"fmt"
)

// AnyVersion as the expected version of Set, Delete or Check matches every
// data version.
const AnyVersion int32 = -1

// MaxDataSize bounds the payload of one znode and the sum of payloads of one
// multi, in bytes. ZooKeeper refuses frames over 1 MiB in its default setting.
const MaxDataSize = 1 << 20

// MaxPathSize bounds the length of a path in bytes.
const MaxPathSize = 4096

// MaxMultiOps bounds the number of operations in one multi.
const MaxMultiOps = 10_000

// Mode says what happens to a created node when its session ends, and whether
// a counter is put behind its name.
type Mode uint8

// The four modes in which a node is created.
const (
	// Persistent nodes stay until somebody deletes them.
	Persistent Mode = iota
	// Ephemeral nodes are deleted when the session that created them ends.
	// They cannot have children.
	Ephemeral
	// PersistentSequential nodes get the number of children ever created under
	// the parent behind their name, ten digits with leading zeros.
	PersistentSequential
	// EphemeralSequential combines both.
	EphemeralSequential
)

// IsEphemeral tells whether a node of this mode dies with its session.
func (m Mode) IsEphemeral() bool { return m == Ephemeral || m == EphemeralSequential }

// IsSequential tells whether a node of this mode gets a counter.
func (m Mode) IsSequential() bool { return m == PersistentSequential || m == EphemeralSequential }

// Stat is the bookkeeping of one node. Zxids order all changes of a tree: they
// never repeat and never go back, also not over restarts.
type Stat struct {
	Czxid          int64 // change that created the node; of /brokers/ids/<id>: the broker epoch
	Mzxid          int64 // last change of the data
	Pzxid          int64 // last creation or deletion of a child
	Ctime          int64 // creation, milliseconds since the epoch
	Mtime          int64 // last change of the data, milliseconds since the epoch
	Version        int32 // number of changes of the data; 0 after creation
	Cversion       int32 // number of creations and deletions of children
	Aversion       int32 // number of changes of the access list
	EphemeralOwner int64 // session id of the owner; 0 for persistent nodes
	DataLength     int32 // bytes
	NumChildren    int32
}

// EventType says what fired a watch.
type EventType uint8

// The kinds of event.
const (
	// NodeCreated fires exist watches.
	NodeCreated EventType = iota + 1
	// NodeDeleted fires data, exist and child watches of the node itself.
	NodeDeleted
	// NodeDataChanged fires data and exist watches.
	NodeDataChanged
	// NodeChildrenChanged fires child watches of the parent.
	NodeChildrenChanged
	// SessionEnded is delivered to every watch that is still set when its
	// session is closed or expires. Err tells which.
	SessionEnded
)

// String names the event type.
func (t EventType) String() string {
	switch t {
	case NodeCreated:
		return "created"
	case NodeDeleted:
		return "deleted"
	case NodeDataChanged:
		return "data changed"
	case NodeChildrenChanged:
		return "children changed"
	case SessionEnded:
		return "session ended"
	default:
		return fmt.Sprintf("event %d", uint8(t))
	}
}

// Event is what a watch delivers, once.
type Event struct {
	Type EventType
	Path string
	Err  error // SessionEnded only: ErrSessionExpired or ErrClosed
}

// Tree is one session's view of a tree of znodes.
//
// All methods may be called from several goroutines. Operations of one Tree
// take effect in the order in which they were called by one goroutine, and a
// change is durable before its call returns without error. The bytes passed in
// may be reused by the caller after the call; the bytes returned belong to the
// caller.
//
// Paths are absolute, without trailing slash, without empty, "." or ".."
// elements; anything else is ErrBadArguments.
//
// A watch is set by a call ending in W and fires once. Its channel has room for
// one event and gets exactly one: the change, or SessionEnded. It is never
// closed. The event is in the channel before any later read of the same Tree
// can see the change. GetW and ChildrenW set no watch when they return an
// error; ExistsW also watches a node that is not there.
//
// A call that ends with the context's error or ErrConnectionLoss may have taken
// effect. After ErrSessionExpired the Tree is of no more use: the caller opens
// a new session and reads everything again.
type Tree interface {
	// Create makes a node and returns its path, which differs from path for
	// sequential modes. ErrNodeExists when it is there, ErrNoNode when its
	// parent is not, ErrNoChildrenForEphemerals when the parent is ephemeral.
	Create(ctx context.Context, path string, data []byte, mode Mode) (created string, stat Stat, err error)
	// Get returns data and stat of a node, or ErrNoNode.
	Get(ctx context.Context, path string) ([]byte, Stat, error)
	// GetW is Get and sets a watch for a change of the data or a deletion.
	GetW(ctx context.Context, path string) ([]byte, Stat, <-chan Event, error)
	// Set replaces the data if the node's version is version (or AnyVersion):
	// ErrBadVersion otherwise, ErrNoNode when there is none.
	Set(ctx context.Context, path string, data []byte, version int32) (Stat, error)
	// Delete removes a node without children (else ErrNotEmpty) whose version
	// matches.
	Delete(ctx context.Context, path string, version int32) error
	// Exists tells whether the node is there; absence is no error.
	Exists(ctx context.Context, path string) (Stat, bool, error)
	// ExistsW is Exists and sets a watch for creation, change or deletion.
	ExistsW(ctx context.Context, path string) (Stat, bool, <-chan Event, error)
	// Children returns the names (not paths) of the children, in ascending
	// byte order.
	Children(ctx context.Context, path string) ([]string, Stat, error)
	// ChildrenW is Children and sets a watch for created or deleted children
	// and for the deletion of the node itself.
	ChildrenW(ctx context.Context, path string) ([]string, Stat, <-chan Event, error)
	// Multi does all operations or none. On failure the error wraps that of
	// the first operation that failed; the results tell it apart: operations
	// before it carry ErrRolledBack, those behind it ErrNotAttempted.
	Multi(ctx context.Context, ops ...Op) ([]OpResult, error)
	// Session is the session all operations of this Tree belong to.
	Session() Session
}

// Session is the life of one client of the tree.
type Session interface {
	// ID is not 0. It is the EphemeralOwner of the nodes the session made.
	ID() int64
	// Done is closed when the session has ended, by Close or by expiry.
	Done() <-chan struct{}
	// Err is nil while the session lives, then ErrClosed or ErrSessionExpired.
	Err() error
	// Close ends the session and deletes its ephemeral nodes.
	Close(ctx context.Context) error
}

// OpKind is the kind of one operation of a multi.
type OpKind uint8

// The operations a multi may hold.
const (
	OpCreate OpKind = iota + 1
	OpSet
	OpDelete
	OpCheck
)

// Op is one operation of a multi; build it with Create, Set, Delete or Check.
type Op struct {
	Kind    OpKind
	Path    string
	Data    []byte
	Mode    Mode
	Version int32
}

// Create is the multi's form of Tree.Create.
func Create(path string, data []byte, mode Mode) Op {
	return Op{Kind: OpCreate, Path: path, Data: data, Mode: mode}
}

// Set is the multi's form of Tree.Set.
func Set(path string, data []byte, version int32) Op {
	return Op{Kind: OpSet, Path: path, Data: data, Version: version}
}

// Delete is the multi's form of Tree.Delete.
func Delete(path string, version int32) Op {
	return Op{Kind: OpDelete, Path: path, Version: version}
}

// Check fails the multi with ErrBadVersion unless the node's data version is
// version, and with ErrNoNode when there is no node.
func Check(path string, version int32) Op {
	return Op{Kind: OpCheck, Path: path, Version: version}
}

// OpResult is the outcome of one operation of a multi.
type OpResult struct {
	Path string // OpCreate: the path created
	Stat Stat   // OpCreate and OpSet
	Err  error
}
