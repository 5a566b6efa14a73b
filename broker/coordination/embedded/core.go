package embedded

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leatstream/leat/broker/coordination"
)

// Limits bound the memory a tree can take. The zero value of a field means its
// default.
type Limits struct {
	Nodes    int   // nodes in the tree; default 2,000,000
	Bytes    int64 // payloads and names of all nodes; default 1 GiB
	Watches  int   // watches of all sessions; default 1,000,000
	Sessions int   // default 10,000
}

func (l Limits) withDefaults() Limits {
	if l.Nodes == 0 {
		l.Nodes = 2_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	if l.Watches == 0 {
		l.Watches = 1_000_000
	}
	if l.Sessions == 0 {
		l.Sessions = 10_000
	}
	return l
}

// node is one znode. children is nil as long as there is none.
type node struct {
	data     []byte
	stat     coordination.Stat // DataLength and NumChildren are set on the way out
	created  int32             // children ever created here: the counter of sequence nodes
	children map[string]*node
}

func (n *node) statOut() coordination.Stat {
	s := n.stat
	s.DataLength = int32(len(n.data))
	s.NumChildren = int32(len(n.children))
	return s
}

// session is one client. Its deadline moves with every touch.
type session struct {
	timeoutMs  int64
	deadlineMs int64
	ephemerals map[string]struct{}
}

// changeKind is the kind of a change.
type changeKind uint8

const (
	changeCreate changeKind = iota + 1
	changeSet
	changeDelete
)

// change is one validated modification of the tree: what the log stores.
type change struct {
	kind  changeKind
	path  string
	owner int64 // create: session of an ephemeral node, else 0
	data  []byte
}

// tx is one transaction: changes that take effect together under one zxid.
type tx struct {
	zxid    int64
	timeMs  int64
	changes []change
}

// core is the tree, its sessions and watches.
//
// Invariants: every node but the root has its parent in the tree; the ephemerals
// of a session are exactly the nodes whose owner it is, once the leftovers of an
// earlier process are reaped; an ephemeral node has no children; zxid is that
// of the last transaction applied and never goes back; count and bytes are the
// sums over nodes.
type core struct {
	limits   Limits
	nodes    map[string]*node
	bytes    int64
	zxid     int64
	sessions map[int64]*session
	lastSess int64
	watches  watchTable
}

func newCore(limits Limits) *core {
	c := &core{
		limits:   limits.withDefaults(),
		nodes:    make(map[string]*node),
		sessions: make(map[int64]*session),
	}
	c.watches.init()
	c.nodes["/"] = &node{}
	return c
}

// split divides a path into its parent's path and its own name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i == 0 {
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}

// checkPath refuses paths that ZooKeeper refuses.
func checkPath(path string) error {
	switch {
	case path == "/":
		return nil
	case path == "" || path[0] != '/' || path[len(path)-1] == '/':
		return fmt.Errorf("%w: path %q", coordination.ErrBadArguments, path)
	case len(path) > coordination.MaxPathSize:
		return fmt.Errorf("%w: path of %d bytes", coordination.ErrTooLarge, len(path))
	}
	for element := range strings.SplitSeq(path[1:], "/") {
		if element == "" || element == "." || element == ".." || strings.IndexByte(element, 0) >= 0 {
			return fmt.Errorf("%w: path %q", coordination.ErrBadArguments, path)
		}
	}
	return nil
}

// openSession begins a session.
func (c *core) openSession(timeoutMs, nowMs int64) (int64, error) {
	if len(c.sessions) >= c.limits.Sessions {
		return 0, fmt.Errorf("%w: %d sessions", coordination.ErrTooLarge, len(c.sessions))
	}
	// Ids rise over restarts too, since the clock and the zxid do.
	c.lastSess = max(c.lastSess+1, nowMs<<16)
	c.sessions[c.lastSess] = &session{
		timeoutMs:  timeoutMs,
		deadlineMs: nowMs + timeoutMs,
		ephemerals: make(map[string]struct{}),
	}
	return c.lastSess, nil
}

// touch keeps a session alive.
func (c *core) touch(id, nowMs int64) error {
	s := c.sessions[id]
	if s == nil {
		return coordination.ErrSessionExpired
	}
	s.deadlineMs = nowMs + s.timeoutMs
	return nil
}

// expired lists the sessions whose time is over, in ascending order.
func (c *core) expired(nowMs int64) []int64 {
	var ids []int64
	for id, s := range c.sessions {
		if s.deadlineMs <= nowMs {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// nextDeadline is the time at which the next session expires, or false.
func (c *core) nextDeadline() (int64, bool) {
	first, ok := int64(0), false
	for _, s := range c.sessions {
		if !ok || s.deadlineMs < first {
			first, ok = s.deadlineMs, true
		}
	}
	return first, ok
}

// endSession removes a session, its ephemeral nodes and its watches. The watches
// it still had are returned so that their holders can be told.
func (c *core) endSession(id, nowMs int64) (t *tx, events []fired, orphans []watcher, ok bool) {
	s := c.sessions[id]
	if s == nil {
		return nil, nil, nil, false
	}
	orphans = c.watches.removeSession(id)
	delete(c.sessions, id)
	t, events = c.deleteAll(s.ephemerals, nowMs)
	return t, events, orphans, true
}

// reapOrphans deletes the ephemeral nodes whose session does not exist: those of
// an earlier process.
func (c *core) reapOrphans(nowMs int64) *tx {
	left := make(map[string]struct{})
	for path, n := range c.nodes {
		if n.stat.EphemeralOwner != 0 && c.sessions[n.stat.EphemeralOwner] == nil {
			left[path] = struct{}{}
		}
	}
	t, _ := c.deleteAll(left, nowMs)
	return t
}

func (c *core) deleteAll(paths map[string]struct{}, nowMs int64) (*tx, []fired) {
	if len(paths) == 0 {
		return nil, nil
	}
	sorted := make([]string, 0, len(paths))
	for path := range paths {
		sorted = append(sorted, path)
	}
	slices.Sort(sorted)
	t := &tx{zxid: c.zxid + 1, timeMs: nowMs}
	for _, path := range sorted {
		t.changes = append(t.changes, change{kind: changeDelete, path: path})
	}
	c.apply(t)
	return t, c.fire(t)
}

// get returns a node's data and stat. The data must not be changed.
func (c *core) get(path string) ([]byte, coordination.Stat, error) {
	n, err := c.lookup(path)
	if err != nil {
		return nil, coordination.Stat{}, err
	}
	return n.data, n.statOut(), nil
}

// childNames lists the children of a node in ascending order.
func (c *core) childNames(path string) ([]string, coordination.Stat, error) {
	n, err := c.lookup(path)
	if err != nil {
		return nil, coordination.Stat{}, err
	}
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, n.statOut(), nil
}

func (c *core) lookup(path string) (*node, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	n := c.nodes[path]
	if n == nil {
		return nil, fmt.Errorf("%w: %s", coordination.ErrNoNode, path)
	}
	return n, nil
}
