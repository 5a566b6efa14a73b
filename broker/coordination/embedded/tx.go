package embedded

import (
	"fmt"

	"github.com/leatstream/leat/broker/coordination"
)

// execute validates and applies the operations of one multi (a single operation
// is a multi of one). All take effect under one zxid, or none does: then the
// error is that of the first operation that failed and the tree is as before.
//
// A later operation sees the effect of an earlier one, so each is applied at
// once and the whole is undone in reverse when one fails.
func (c *core) execute(owner int64, ops []coordination.Op, nowMs int64) ([]coordination.OpResult, *tx, []fired, error) {
	if err := checkMultiSize(ops); err != nil {
		return nil, nil, nil, err
	}
	t := &tx{zxid: c.zxid + 1, timeMs: nowMs}
	results := make([]coordination.OpResult, len(ops))
	var undo []undoStep
	for i := range ops {
		ch, err := c.validate(owner, &ops[i])
		if err != nil {
			c.rollback(undo)
			return failed(results, i, err), nil, nil, err
		}
		if ch.kind == 0 { // a check changes nothing
			continue
		}
		undo = append(undo, c.applyChange(ch, t.zxid, nowMs))
		t.changes = append(t.changes, ch)
		results[i].Path = ch.path
	}
	for i := range ops {
		if n := c.nodes[results[i].Path]; n != nil && results[i].Path != "" {
			results[i].Stat = n.statOut()
		}
	}
	if len(t.changes) == 0 {
		return results, nil, nil, nil
	}
	c.zxid = t.zxid
	return results, t, c.fire(t), nil
}

func checkMultiSize(ops []coordination.Op) error {
	if len(ops) > coordination.MaxMultiOps {
		return fmt.Errorf("%w: multi of %d operations", coordination.ErrTooLarge, len(ops))
	}
	size := 0
	for i := range ops {
		size += len(ops[i].Data)
	}
	if size > coordination.MaxDataSize {
		return fmt.Errorf("%w: payload of %d bytes", coordination.ErrTooLarge, size)
	}
	return nil
}

// failed marks the results of a multi whose operation i failed.
func failed(results []coordination.OpResult, i int, err error) []coordination.OpResult {
	for j := range results {
		switch {
		case j < i:
			results[j] = coordination.OpResult{Err: coordination.ErrRolledBack}
		case j == i:
			results[j] = coordination.OpResult{Err: err}
		default:
			results[j] = coordination.OpResult{Err: coordination.ErrNotAttempted}
		}
	}
	return results
}

// validate turns an operation into a change, or says why it cannot be.
func (c *core) validate(owner int64, op *coordination.Op) (change, error) {
	switch op.Kind {
	case coordination.OpCreate:
		return c.validateCreate(owner, op)
	case coordination.OpSet, coordination.OpCheck, coordination.OpDelete:
	default:
		return change{}, fmt.Errorf("%w: operation %d", coordination.ErrBadArguments, op.Kind)
	}
	n, err := c.lookup(op.Path)
	if err != nil {
		return change{}, err
	}
	if op.Version != coordination.AnyVersion && op.Version != n.stat.Version {
		return change{}, fmt.Errorf("%w: %s has version %d, not %d", coordination.ErrBadVersion, op.Path, n.stat.Version, op.Version)
	}
	switch op.Kind {
	case coordination.OpSet:
		if c.bytes+int64(len(op.Data)) > c.limits.Bytes {
			return change{}, fmt.Errorf("%w: tree of %d bytes", coordination.ErrTooLarge, c.bytes)
		}
		return change{kind: changeSet, path: op.Path, data: op.Data}, nil
	case coordination.OpDelete:
		if op.Path == "/" {
			return change{}, fmt.Errorf("%w: the root cannot be deleted", coordination.ErrBadArguments)
		}
		if len(n.children) > 0 {
			return change{}, fmt.Errorf("%w: %s", coordination.ErrNotEmpty, op.Path)
		}
		return change{kind: changeDelete, path: op.Path}, nil
	default:
		return change{}, nil
	}
}

func (c *core) validateCreate(owner int64, op *coordination.Op) (change, error) {
	path := op.Path
	if op.Mode.IsSequential() {
		// The name may be empty: /a/ makes /a/0000000000. Any name stands for itself here.
		path += "0"
	}
	if err := checkPath(path); err != nil {
		return change{}, err
	}
	if path == "/" {
		return change{}, fmt.Errorf("%w: /", coordination.ErrNodeExists)
	}
	parentPath, _ := split(path)
	parent := c.nodes[parentPath]
	if parent == nil {
		return change{}, fmt.Errorf("%w: %s", coordination.ErrNoNode, parentPath)
	}
	if op.Mode.IsSequential() {
		path = fmt.Sprintf("%s%010d", op.Path, parent.created)
		if len(path) > coordination.MaxPathSize {
			return change{}, fmt.Errorf("%w: path of %d bytes", coordination.ErrTooLarge, len(path))
		}
	}
	if c.nodes[path] != nil {
		return change{}, fmt.Errorf("%w: %s", coordination.ErrNodeExists, path)
	}
	if parent.stat.EphemeralOwner != 0 {
		return change{}, fmt.Errorf("%w: %s", coordination.ErrNoChildrenForEphemerals, parentPath)
	}
	if len(c.nodes) >= c.limits.Nodes || c.bytes+int64(len(path)+len(op.Data)) > c.limits.Bytes {
		return change{}, fmt.Errorf("%w: tree of %d nodes, %d bytes", coordination.ErrTooLarge, len(c.nodes), c.bytes)
	}
	ch := change{kind: changeCreate, path: path, data: op.Data}
	if op.Mode.IsEphemeral() {
		if c.sessions[owner] == nil {
			return change{}, coordination.ErrSessionExpired
		}
		ch.owner = owner
	}
	return ch, nil
}

// apply carries out a transaction that is known to be valid: in replay, or built
// by the core itself.
func (c *core) apply(t *tx) {
	for _, ch := range t.changes {
		c.applyChange(ch, t.zxid, t.timeMs)
	}
	c.zxid = t.zxid
}

// undoStep restores what one change replaced.
type undoStep struct {
	kind       changeKind
	path       string
	old        *node             // the node before a set (a copy) or a delete
	parentStat coordination.Stat // of create and delete
	created    int32
}

// applyChange carries out one valid change and returns how to undo it.
func (c *core) applyChange(ch change, zxid, nowMs int64) undoStep {
	u := undoStep{kind: ch.kind, path: ch.path}
	if ch.kind == changeSet {
		n := c.nodes[ch.path]
		saved := *n
		u.old = &saved
		c.bytes += int64(len(ch.data) - len(n.data))
		n.data = append([]byte(nil), ch.data...)
		n.stat.Version++
		n.stat.Mzxid, n.stat.Mtime = zxid, nowMs
		return u
	}
	parentPath, name := split(ch.path)
	parent := c.nodes[parentPath]
	u.parentStat, u.created = parent.stat, parent.created
	parent.stat.Cversion++
	parent.stat.Pzxid = zxid
	if ch.kind == changeCreate {
		n := &node{data: append([]byte(nil), ch.data...)}
		n.stat = coordination.Stat{Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: nowMs, Mtime: nowMs, EphemeralOwner: ch.owner}
		parent.created++
		c.link(parent, ch.path, name, n)
		return u
	}
	u.old = c.nodes[ch.path]
	c.unlink(parent, ch.path, name)
	return u
}

func (c *core) link(parent *node, path, name string, n *node) {
	if parent.children == nil {
		parent.children = make(map[string]*node)
	}
	parent.children[name] = n
	c.nodes[path] = n
	c.bytes += int64(len(path) + len(n.data))
	if s := c.sessions[n.stat.EphemeralOwner]; s != nil {
		s.ephemerals[path] = struct{}{}
	}
}

func (c *core) unlink(parent *node, path, name string) {
	n := c.nodes[path]
	delete(parent.children, name)
	delete(c.nodes, path)
	c.bytes -= int64(len(path) + len(n.data))
	if s := c.sessions[n.stat.EphemeralOwner]; s != nil {
		delete(s.ephemerals, path)
	}
}

// rollback undoes steps, the last one first.
func (c *core) rollback(steps []undoStep) {
	for i := len(steps) - 1; i >= 0; i-- {
		u := steps[i]
		if u.kind == changeSet {
			n := c.nodes[u.path]
			c.bytes += int64(len(u.old.data) - len(n.data))
			n.data, n.stat = u.old.data, u.old.stat
			continue
		}
		parentPath, name := split(u.path)
		parent := c.nodes[parentPath]
		if u.kind == changeCreate {
			c.unlink(parent, u.path, name)
		} else {
			c.link(parent, u.path, name, u.old)
		}
		parent.stat, parent.created = u.parentStat, u.created
	}
}
