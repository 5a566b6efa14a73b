package embedded

import (
	"fmt"

	"github.com/leatstream/leat/broker/coordination"
)

// watchKind separates the two tables of watches. Data and exist watches share
// one: both fire on creation, change and deletion of the node.
type watchKind uint8

const (
	watchData watchKind = iota
	watchChildren
)

// watcher is one set watch: whose it is and where its event goes.
type watcher struct {
	session int64
	path    string
	ch      chan coordination.Event // room for one event
}

// fired is a watch and the event it is to deliver. It is delivered after the
// change is durable.
type fired struct {
	watcher watcher
	event   coordination.Event
}

// watchTable holds the watches by path.
type watchTable struct {
	byPath [2]map[string][]watcher
	count  int
}

func (t *watchTable) init() {
	t.byPath[watchData] = make(map[string][]watcher)
	t.byPath[watchChildren] = make(map[string][]watcher)
}

// watch sets a watch.
func (c *core) watch(kind watchKind, session int64, path string) (chan coordination.Event, error) {
	if c.watches.count >= c.limits.Watches {
		return nil, fmt.Errorf("%w: %d watches", coordination.ErrTooLarge, c.watches.count)
	}
	w := watcher{session: session, path: path, ch: make(chan coordination.Event, 1)}
	table := c.watches.byPath[kind]
	table[path] = append(table[path], w)
	c.watches.count++
	return w.ch, nil
}

// take removes and returns the watches of one path.
func (t *watchTable) take(kind watchKind, path string) []watcher {
	ws := t.byPath[kind][path]
	if ws != nil {
		delete(t.byPath[kind], path)
		t.count -= len(ws)
	}
	return ws
}

// removeSession removes and returns all watches of a session.
func (t *watchTable) removeSession(id int64) []watcher {
	var removed []watcher
	for _, table := range t.byPath {
		for path, ws := range table {
			kept := ws[:0:0]
			for _, w := range ws {
				if w.session == id {
					removed = append(removed, w)
				} else {
					kept = append(kept, w)
				}
			}
			switch {
			case len(kept) == 0:
				delete(table, path)
			case len(kept) < len(ws):
				table[path] = kept
			}
		}
	}
	t.count -= len(removed)
	return removed
}

// fire collects the watches that a transaction triggers.
func (c *core) fire(t *tx) []fired {
	if c.watches.count == 0 {
		return nil
	}
	var out []fired
	emit := func(kind watchKind, path string, typ coordination.EventType) {
		for _, w := range c.watches.take(kind, path) {
			out = append(out, fired{w, coordination.Event{Type: typ, Path: path}})
		}
	}
	for _, ch := range t.changes {
		switch ch.kind {
		case changeCreate:
			emit(watchData, ch.path, coordination.NodeCreated)
		case changeSet:
			emit(watchData, ch.path, coordination.NodeDataChanged)
			continue
		case changeDelete:
			emit(watchData, ch.path, coordination.NodeDeleted)
			emit(watchChildren, ch.path, coordination.NodeDeleted)
		}
		parent, _ := split(ch.path)
		emit(watchChildren, parent, coordination.NodeChildrenChanged)
	}
	return out
}
