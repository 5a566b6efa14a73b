package embedded

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/coordination"
)

var (
	_ coordination.Tree    = (*client)(nil)
	_ coordination.Session = (*client)(nil)
)

// client is one session's handle: a Tree and its Session.
type client struct {
	store     *Store
	id        int64
	autoAlive bool // kept alive by the Store's loop, as its holder is this process

	mu    sync.Mutex
	cause error // why the session ended
	done  chan struct{}
}

// Connect opens a session that lives until it is closed or the Store stops: its
// holder is this process, which is alive as long as the Store is.
func (s *Store) Connect(ctx context.Context) (coordination.Tree, error) {
	return s.connect(ctx, MaxSessionTimeout, true)
}

// ConnectTimeout opens a session that expires when no operation touches it for
// timeout. It is for holders that are not this process, and for tests of expiry.
func (s *Store) ConnectTimeout(ctx context.Context, timeout time.Duration) (coordination.Tree, error) {
	return s.connect(ctx, min(max(timeout, MinSessionTimeout), MaxSessionTimeout), false)
}

func (s *Store) connect(ctx context.Context, timeout time.Duration, autoAlive bool) (coordination.Tree, error) {
	res, err := s.do(ctx, func(c *call, s *Store, nowMs int64) {
		id, err := s.core.openSession(timeout.Milliseconds(), nowMs)
		if err != nil {
			c.res.err = err
			return
		}
		c.res.client = &client{store: s, id: id, autoAlive: autoAlive, done: make(chan struct{})}
		s.conns[id] = c.res.client
	})
	if err != nil {
		return nil, err
	}
	return res.client, nil
}

// do runs one operation of the session.
func (t *client) do(ctx context.Context, op, path string, run func(c *call, s *Store, nowMs int64)) (result, error) {
	res, err := t.store.do(ctx, func(c *call, s *Store, nowMs int64) {
		if err := s.core.touch(t.id, nowMs); err != nil {
			c.res.err = t.Err()
			return
		}
		run(c, s, nowMs)
	})
	if err != nil {
		return res, fmt.Errorf("%s %s: %w", op, path, err)
	}
	return res, nil
}

func (t *client) write(ctx context.Context, op, path string, ops ...coordination.Op) (result, error) {
	for i := range ops {
		ops[i].Data = slices.Clone(ops[i].Data) // the caller may reuse its bytes when ctx ends first
	}
	return t.do(ctx, op, path, func(c *call, s *Store, nowMs int64) {
		c.res.ops, c.res.tx, c.res.events, c.res.err = s.core.execute(t.id, ops, nowMs)
	})
}

func (t *client) Create(ctx context.Context, path string, data []byte, mode coordination.Mode) (string, coordination.Stat, error) {
	res, err := t.write(ctx, "create", path, coordination.Create(path, data, mode))
	if err != nil {
		return "", coordination.Stat{}, err
	}
	return res.ops[0].Path, res.ops[0].Stat, nil
}

func (t *client) Set(ctx context.Context, path string, data []byte, version int32) (coordination.Stat, error) {
	res, err := t.write(ctx, "set", path, coordination.Set(path, data, version))
	if err != nil {
		return coordination.Stat{}, err
	}
	return res.ops[0].Stat, nil
}

func (t *client) Delete(ctx context.Context, path string, version int32) error {
	_, err := t.write(ctx, "delete", path, coordination.Delete(path, version))
	return err
}

func (t *client) Multi(ctx context.Context, ops ...coordination.Op) ([]coordination.OpResult, error) {
	path := ""
	if len(ops) > 0 {
		path = ops[0].Path
	}
	res, err := t.write(ctx, "multi", path, slices.Clone(ops)...)
	return res.ops, err
}

func (t *client) Get(ctx context.Context, path string) ([]byte, coordination.Stat, error) {
	res, err := t.get(ctx, path, false)
	return res.data, res.stat, err
}

func (t *client) GetW(ctx context.Context, path string) ([]byte, coordination.Stat, <-chan coordination.Event, error) {
	res, err := t.get(ctx, path, true)
	return res.data, res.stat, res.watch, err
}

func (t *client) get(ctx context.Context, path string, watch bool) (result, error) {
	return t.do(ctx, "get", path, func(c *call, s *Store, _ int64) {
		var data []byte
		data, c.res.stat, c.res.err = s.core.get(path)
		c.res.data = slices.Clone(data)
		t.setWatch(c, s, watch, watchData, path)
	})
}

func (t *client) setWatch(c *call, s *Store, watch bool, kind watchKind, path string) {
	if watch && c.res.err == nil {
		c.res.watch, c.res.err = s.core.watch(kind, t.id, path)
	}
}

func (t *client) Exists(ctx context.Context, path string) (coordination.Stat, bool, error) {
	res, err := t.exists(ctx, path, false)
	return res.stat, res.exists, err
}

func (t *client) ExistsW(ctx context.Context, path string) (coordination.Stat, bool, <-chan coordination.Event, error) {
	res, err := t.exists(ctx, path, true)
	return res.stat, res.exists, res.watch, err
}

func (t *client) exists(ctx context.Context, path string, watch bool) (result, error) {
	return t.do(ctx, "exists", path, func(c *call, s *Store, _ int64) {
		if c.res.err = checkPath(path); c.res.err != nil {
			return
		}
		if n := s.core.nodes[path]; n != nil {
			c.res.stat, c.res.exists = n.statOut(), true
		}
		t.setWatch(c, s, watch, watchData, path)
	})
}

func (t *client) Children(ctx context.Context, path string) ([]string, coordination.Stat, error) {
	res, err := t.children(ctx, path, false)
	return res.names, res.stat, err
}

func (t *client) ChildrenW(ctx context.Context, path string) ([]string, coordination.Stat, <-chan coordination.Event, error) {
	res, err := t.children(ctx, path, true)
	return res.names, res.stat, res.watch, err
}

func (t *client) children(ctx context.Context, path string, watch bool) (result, error) {
	return t.do(ctx, "children", path, func(c *call, s *Store, _ int64) {
		c.res.names, c.res.stat, c.res.err = s.core.childNames(path)
		t.setWatch(c, s, watch, watchChildren, path)
	})
}

func (t *client) Session() coordination.Session { return t }

func (t *client) ID() int64 { return t.id }

func (t *client) Done() <-chan struct{} { return t.done }

func (t *client) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause
}

func (t *client) Close(ctx context.Context) error {
	_, err := t.store.do(ctx, func(c *call, s *Store, nowMs int64) {
		s.end(c, t.id, coordination.ErrClosed, nowMs)
	})
	return err
}

// setCause notes why the session ends. The first cause stays.
func (t *client) setCause(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause == nil {
		t.cause = cause
	}
}

// finish tells the holder: first the watches it still had, then Done.
func (t *client) finish(orphans []watcher) {
	for _, w := range orphans {
		w.ch <- coordination.Event{Type: coordination.SessionEnded, Path: w.path, Err: t.Err()}
	}
	close(t.done)
}
