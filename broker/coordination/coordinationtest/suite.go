package coordinationtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/coordination"
)

// Factory opens sessions on one tree that is empty at the beginning of a test.
type Factory interface {
	// Open begins a new session. The suite closes it.
	Open(t *testing.T) coordination.Tree
	// Expire ends a session as the tree would when its holder is silent for too
	// long. It may take as long as the smallest timeout.
	Expire(t *testing.T, tree coordination.Tree)
}

// Run holds an implementation to the contract of coordination.Tree. fresh
// returns a Factory over an empty tree, once for each test.
func Run(t *testing.T, fresh func(t *testing.T) Factory) {
	for name, test := range map[string]func(*testing.T, Factory){
		"create":            testCreate,
		"data and versions": testData,
		"paths":             testPaths,
		"limits":            testLimits,
		"children":          testChildren,
		"sequential":        testSequential,
		"ephemeral":         testEphemeral,
		"expiry":            testExpiry,
		"data watch":        testDataWatch,
		"exist watch":       testExistWatch,
		"child watch":       testChildWatch,
		"watch order":       testWatchOrder,
		"watch end":         testWatchEnd,
		"multi":             testMulti,
		"multi rollback":    testMultiRollback,
		"multi watches":     testMultiWatches,
		"zxids":             testZxids,
		"concurrent":        testConcurrent,
		"cancelled":         testCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// h wraps a Tree with calls that fail the test.
type h struct {
	t    *testing.T
	ctx  context.Context
	tree coordination.Tree
}

func open(t *testing.T, f Factory) *h {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return &h{t, ctx, f.Open(t)}
}

func (h *h) create(path, data string, mode coordination.Mode) (string, coordination.Stat) {
	h.t.Helper()
	created, stat, err := h.tree.Create(h.ctx, path, []byte(data), mode)
	if err != nil {
		h.t.Fatalf("create %s: %v", path, err)
	}
	return created, stat
}

func (h *h) set(path, data string) coordination.Stat {
	h.t.Helper()
	stat, err := h.tree.Set(h.ctx, path, []byte(data), coordination.AnyVersion)
	if err != nil {
		h.t.Fatalf("set %s: %v", path, err)
	}
	return stat
}

func (h *h) delete(path string) {
	h.t.Helper()
	if err := h.tree.Delete(h.ctx, path, coordination.AnyVersion); err != nil {
		h.t.Fatalf("delete %s: %v", path, err)
	}
}

func (h *h) get(path string) (string, coordination.Stat) {
	h.t.Helper()
	data, stat, err := h.tree.Get(h.ctx, path)
	if err != nil {
		h.t.Fatalf("get %s: %v", path, err)
	}
	return string(data), stat
}

func (h *h) exists(path string) bool {
	h.t.Helper()
	_, ok, err := h.tree.Exists(h.ctx, path)
	if err != nil {
		h.t.Fatalf("exists %s: %v", path, err)
	}
	return ok
}

func (h *h) children(path string) []string {
	h.t.Helper()
	names, _, err := h.tree.Children(h.ctx, path)
	if err != nil {
		h.t.Fatalf("children of %s: %v", path, err)
	}
	return names
}

// event waits for a watch to fire.
func (h *h) event(watch <-chan coordination.Event, typ coordination.EventType, path string) {
	h.t.Helper()
	select {
	case ev := <-watch:
		if ev.Type != typ || ev.Path != path {
			h.t.Fatalf("event %v of %s, want %v of %s", ev.Type, ev.Path, typ, path)
		}
	case <-h.ctx.Done():
		h.t.Fatalf("no event; want %v of %s", typ, path)
	}
}

// silent checks that a watch has not fired. A read before it is the proof: an
// event comes before any later read that could see its change.
func (h *h) silent(watch <-chan coordination.Event) {
	h.t.Helper()
	h.exists("/")
	select {
	case ev := <-watch:
		h.t.Fatalf("unexpected event %v of %s", ev.Type, ev.Path)
	default:
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

func testCreate(t *testing.T, f Factory) {
	a := open(t, f)
	path, stat := a.create("/a", "one", coordination.Persistent)
	if path != "/a" || stat.Version != 0 || stat.Czxid == 0 || stat.Czxid != stat.Mzxid || stat.EphemeralOwner != 0 {
		t.Fatalf("created %s %+v", path, stat)
	}
	a.create("/a/b", "", coordination.Persistent)
	_, _, err := a.tree.Create(a.ctx, "/a", nil, coordination.Persistent)
	wantErr(t, "create again", err, coordination.ErrNodeExists)
	_, _, err = a.tree.Create(a.ctx, "/no/parent", nil, coordination.Persistent)
	wantErr(t, "create without parent", err, coordination.ErrNoNode)
	_, _, err = a.tree.Create(a.ctx, "/", nil, coordination.Persistent)
	wantErr(t, "create the root", err, coordination.ErrNodeExists)
	if data, _ := open(t, f).get("/a"); data != "one" {
		t.Fatalf("another session sees %q", data)
	}
}

func testData(t *testing.T, f Factory) {
	a := open(t, f)
	_, created := a.create("/a", "one", coordination.Persistent)
	buf := []byte("two")
	stat, err := a.tree.Set(a.ctx, "/a", buf, 0)
	if err != nil || stat.Version != 1 || stat.Czxid != created.Czxid || stat.Mzxid <= created.Mzxid || stat.DataLength != 3 {
		t.Fatalf("set: %+v, %v", stat, err)
	}
	copy(buf, "XXX")
	data, got := a.get("/a")
	if data != "two" || got != stat {
		t.Fatalf("get: %q %+v, want %+v", data, got, stat)
	}
	_, err = a.tree.Set(a.ctx, "/a", nil, 0)
	wantErr(t, "set an old version", err, coordination.ErrBadVersion)
	_, err = a.tree.Set(a.ctx, "/b", nil, coordination.AnyVersion)
	wantErr(t, "set nothing", err, coordination.ErrNoNode)
	wantErr(t, "delete an old version", a.tree.Delete(a.ctx, "/a", 0), coordination.ErrBadVersion)
	wantErr(t, "delete nothing", a.tree.Delete(a.ctx, "/b", coordination.AnyVersion), coordination.ErrNoNode)
	if err := a.tree.Delete(a.ctx, "/a", 1); err != nil {
		t.Fatal(err)
	}
	_, _, err = a.tree.Get(a.ctx, "/a")
	wantErr(t, "get a deleted node", err, coordination.ErrNoNode)
	if _, again := a.create("/a", "", coordination.Persistent); again.Version != 0 || again.Czxid <= stat.Mzxid {
		t.Fatalf("created again: %+v", again)
	}
}

func testPaths(t *testing.T, f Factory) {
	a := open(t, f)
	for _, path := range []string{"", "a", "/a/", "//a", "/a//b", "/.", "/..", "/a/../b", "/a/./b"} {
		_, _, err := a.tree.Create(a.ctx, path, nil, coordination.Persistent)
		wantErr(t, fmt.Sprintf("create %q", path), err, coordination.ErrBadArguments)
	}
	for _, path := range []string{"/...", "/ä", "/a b", "/<default>"} {
		a.create(path, "x", coordination.Persistent)
		if data, _ := a.get(path); data != "x" {
			t.Fatalf("%s holds %q", path, data)
		}
	}
}

func testLimits(t *testing.T, f Factory) {
	a := open(t, f)
	_, _, err := a.tree.Create(a.ctx, "/big", bytes.Repeat([]byte("x"), coordination.MaxDataSize+1), coordination.Persistent)
	if err == nil {
		t.Fatal("a payload over the limit was taken")
	}
	a.create("/half", string(bytes.Repeat([]byte("x"), coordination.MaxDataSize/2)), coordination.Persistent)
	if data, _ := a.get("/half"); len(data) != coordination.MaxDataSize/2 {
		t.Fatalf("%d bytes", len(data))
	}
}

func testChildren(t *testing.T, f Factory) {
	a := open(t, f)
	a.create("/p", "", coordination.Persistent)
	if names := a.children("/p"); len(names) != 0 {
		t.Fatalf("children %v", names)
	}
	for _, name := range []string{"c", "a", "b"} {
		a.create("/p/"+name, "", coordination.Persistent)
	}
	if names := a.children("/p"); !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Fatalf("children %v", names)
	}
	_, before := a.get("/p")
	wantErr(t, "delete a parent", a.tree.Delete(a.ctx, "/p", coordination.AnyVersion), coordination.ErrNotEmpty)
	a.delete("/p/b")
	_, stat := a.get("/p")
	if before.Cversion != 3 || stat.Cversion != 4 || stat.NumChildren != 2 || stat.Version != 0 || stat.Pzxid <= before.Pzxid {
		t.Fatalf("before %+v, after %+v", before, stat)
	}
	a.create("/p/a/deep", "", coordination.Persistent)
	if _, after := a.get("/p"); after.Cversion != 4 || after.Pzxid != stat.Pzxid {
		t.Fatalf("a grandchild changed %+v", after)
	}
	_, _, err := a.tree.Children(a.ctx, "/none")
	wantErr(t, "children of nothing", err, coordination.ErrNoNode)
}

func testSequential(t *testing.T, f Factory) {
	a := open(t, f)
	a.create("/q", "", coordination.Persistent)
	first, _ := a.create("/q/n_", "", coordination.PersistentSequential)
	second, _ := a.create("/q/n_", "", coordination.PersistentSequential)
	a.delete(second)
	a.create("/q/other", "", coordination.Persistent)
	third, _ := a.create("/q/e_", "", coordination.EphemeralSequential)
	bare, _ := a.create("/q/", "", coordination.PersistentSequential)
	want := []string{"/q/n_0000000000", "/q/n_0000000001", "/q/e_0000000003", "/q/0000000004"}
	if got := []string{first, second, third, bare}; !slices.Equal(got, want) {
		t.Fatalf("created %v, want %v", got, want)
	}
}

func testEphemeral(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	_, stat := a.create("/e", "", coordination.Ephemeral)
	if stat.EphemeralOwner != a.tree.Session().ID() || stat.EphemeralOwner == 0 || a.tree.Session().ID() == b.tree.Session().ID() {
		t.Fatalf("owner %x, sessions %x and %x", stat.EphemeralOwner, a.tree.Session().ID(), b.tree.Session().ID())
	}
	_, _, err := a.tree.Create(a.ctx, "/e/child", nil, coordination.Persistent)
	wantErr(t, "child of an ephemeral", err, coordination.ErrNoChildrenForEphemerals)
	b.set("/e", "by another")
	a.create("/mine", "", coordination.Ephemeral)
	b.delete("/mine")
	b.create("/mine", "", coordination.Persistent)
	_, _, watch, err := b.tree.ExistsW(b.ctx, "/e")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.tree.Session().Close(a.ctx); err != nil {
		t.Fatal(err)
	}
	b.event(watch, coordination.NodeDeleted, "/e")
	if b.exists("/e") || !b.exists("/mine") {
		t.Fatal("the end of a session deletes its ephemerals and nothing else")
	}
	<-a.tree.Session().Done()
	wantErr(t, "session", a.tree.Session().Err(), coordination.ErrClosed)
	_, _, err = a.tree.Get(a.ctx, "/mine")
	wantErr(t, "use after close", err, coordination.ErrClosed)
}

func testExpiry(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	a.create("/e", "", coordination.Ephemeral)
	a.create("/p", "", coordination.Persistent)
	_, _, watch, err := b.tree.ExistsW(b.ctx, "/e")
	if err != nil {
		t.Fatal(err)
	}
	f.Expire(t, a.tree)
	b.event(watch, coordination.NodeDeleted, "/e")
	if !b.exists("/p") {
		t.Fatal("a persistent node went with its session")
	}
	select {
	case <-a.tree.Session().Done():
	case <-a.ctx.Done():
		t.Fatal("the holder was not told of the expiry")
	}
	wantErr(t, "session", a.tree.Session().Err(), coordination.ErrSessionExpired)
	_, err = a.tree.Set(a.ctx, "/p", nil, coordination.AnyVersion)
	wantErr(t, "use after expiry", err, coordination.ErrSessionExpired)
	_, _, err = b.tree.Create(b.ctx, "/e", nil, coordination.Ephemeral)
	if err != nil {
		t.Fatalf("the name of an expired ephemeral is free again: %v", err)
	}
}

func testDataWatch(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	_, _, _, err := a.tree.GetW(a.ctx, "/a")
	wantErr(t, "watch nothing", err, coordination.ErrNoNode)
	a.create("/a", "1", coordination.Persistent)
	getW := func() <-chan coordination.Event {
		t.Helper()
		_, _, watch, err := a.tree.GetW(a.ctx, "/a")
		if err != nil {
			t.Fatal(err)
		}
		return watch
	}
	watch := getW()
	b.create("/a/child", "", coordination.Persistent)
	a.silent(watch)
	b.set("/a", "2")
	a.event(watch, coordination.NodeDataChanged, "/a")
	b.set("/a", "3")
	a.silent(watch)
	watch = getW()
	second := getW()
	b.delete("/a/child")
	b.delete("/a")
	a.event(watch, coordination.NodeDeleted, "/a")
	a.event(second, coordination.NodeDeleted, "/a")
	b.create("/a", "", coordination.Persistent)
	a.silent(watch)
}

func testExistWatch(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	_, ok, watch, err := a.tree.ExistsW(a.ctx, "/a")
	if ok || err != nil {
		t.Fatal(ok, err)
	}
	b.create("/a", "", coordination.Persistent)
	a.event(watch, coordination.NodeCreated, "/a")
	stat, ok, watch, err := a.tree.ExistsW(a.ctx, "/a")
	if !ok || err != nil || stat.Czxid == 0 {
		t.Fatal(stat, ok, err)
	}
	b.set("/a", "x")
	a.event(watch, coordination.NodeDataChanged, "/a")
}

func testChildWatch(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	a.create("/p", "", coordination.Persistent)
	childrenW := func() <-chan coordination.Event {
		t.Helper()
		_, _, watch, err := a.tree.ChildrenW(a.ctx, "/p")
		if err != nil {
			t.Fatal(err)
		}
		return watch
	}
	watch := childrenW()
	b.set("/p", "data")
	a.silent(watch)
	b.create("/p/c", "", coordination.Persistent)
	a.event(watch, coordination.NodeChildrenChanged, "/p")
	watch = childrenW()
	b.set("/p/c", "data")
	b.create("/p/c/deep", "", coordination.Persistent)
	a.silent(watch)
	b.delete("/p/c/deep")
	b.delete("/p/c")
	a.event(watch, coordination.NodeChildrenChanged, "/p")
	watch = childrenW()
	b.delete("/p")
	a.event(watch, coordination.NodeDeleted, "/p")
	_, _, _, err := a.tree.ChildrenW(a.ctx, "/p")
	wantErr(t, "watch nothing", err, coordination.ErrNoNode)
}

// testWatchOrder: a session that reads a change has had the event before.
func testWatchOrder(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	a.create("/a", "0", coordination.Persistent)
	for i := range 50 {
		_, _, watch, err := a.tree.GetW(a.ctx, "/a")
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(i + 1)
		done := make(chan error, 1)
		go func() {
			_, err := b.tree.Set(b.ctx, "/a", []byte(want), coordination.AnyVersion)
			done <- err
		}()
		for {
			data, _ := a.get("/a")
			if data != want {
				continue
			}
			select {
			case <-watch:
			default:
				t.Fatal("the change was seen before its event")
			}
			break
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func testWatchEnd(t *testing.T, f Factory) {
	a := open(t, f)
	_, _, watch, err := a.tree.ExistsW(a.ctx, "/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.tree.Session().Close(a.ctx); err != nil {
		t.Fatal(err)
	}
	a.event(watch, coordination.SessionEnded, "/a")
}

func testMulti(t *testing.T, f Factory) {
	a := open(t, f)
	_, check := a.create("/epoch", "1", coordination.Persistent)
	a.create("/old", "", coordination.Persistent)
	results, err := a.tree.Multi(a.ctx,
		coordination.Check("/epoch", check.Version),
		coordination.Create("/a", []byte("x"), coordination.Persistent),
		coordination.Create("/a/s_", nil, coordination.PersistentSequential),
		coordination.Set("/a", []byte("y"), 0),
		coordination.Delete("/old", 0))
	if err != nil {
		t.Fatal(err)
	}
	if results[2].Path != "/a/s_0000000000" || results[3].Stat.Version != 1 || results[1].Path != "/a" {
		t.Fatalf("results %+v", results)
	}
	data, stat := a.get("/a")
	_, child := a.get("/a/s_0000000000")
	if data != "y" || stat.Mzxid != stat.Czxid || child.Czxid != stat.Czxid || a.exists("/old") {
		t.Fatalf("all operations of a multi share one zxid: %q %+v %+v", data, stat, child)
	}
	if _, err := a.tree.Multi(a.ctx); err != nil {
		t.Fatalf("empty multi: %v", err)
	}
}

func testMultiRollback(t *testing.T, f Factory) {
	a := open(t, f)
	a.create("/a", "x", coordination.Persistent)
	a.create("/a/b", "", coordination.Persistent)
	_, before := a.get("/a")
	results, err := a.tree.Multi(a.ctx,
		coordination.Set("/a", []byte("y"), 0),
		coordination.Delete("/a/b", coordination.AnyVersion),
		coordination.Create("/a/e_", nil, coordination.EphemeralSequential),
		coordination.Check("/a", 7),
		coordination.Delete("/a", coordination.AnyVersion))
	wantErr(t, "multi", err, coordination.ErrBadVersion)
	for i, want := range []error{coordination.ErrRolledBack, coordination.ErrRolledBack, coordination.ErrRolledBack, coordination.ErrBadVersion, coordination.ErrNotAttempted} {
		wantErr(t, fmt.Sprint("result ", i), results[i].Err, want)
	}
	data, after := a.get("/a")
	if data != "x" || before != after || !slices.Equal(a.children("/a"), []string{"b"}) {
		t.Fatalf("after the rollback: %q %+v %v, want %+v", data, after, a.children("/a"), before)
	}
	if path, _ := a.create("/a/n_", "", coordination.PersistentSequential); path != "/a/n_0000000001" {
		t.Fatalf("the counter kept a rolled back child: %s", path)
	}
}

func testMultiWatches(t *testing.T, f Factory) {
	a, b := open(t, f), open(t, f)
	a.create("/p", "", coordination.Persistent)
	_, _, children, err := a.tree.ChildrenW(a.ctx, "/p")
	if err != nil {
		t.Fatal(err)
	}
	_, _, created, err := a.tree.ExistsW(a.ctx, "/p/c")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.tree.Multi(b.ctx, coordination.Create("/p/c", nil, coordination.Persistent), coordination.Check("/p", 9))
	wantErr(t, "multi", err, coordination.ErrBadVersion)
	a.silent(children)
	a.silent(created)
	if _, err := b.tree.Multi(b.ctx, coordination.Create("/p/c", nil, coordination.Persistent), coordination.Set("/p", nil, 0)); err != nil {
		t.Fatal(err)
	}
	a.event(children, coordination.NodeChildrenChanged, "/p")
	a.event(created, coordination.NodeCreated, "/p/c")
}

func testZxids(t *testing.T, f Factory) {
	a := open(t, f)
	last := int64(0)
	for i := range 20 {
		_, stat := a.create(fmt.Sprintf("/n%d", i), "", coordination.Persistent)
		if stat.Czxid <= last {
			t.Fatalf("zxid %d after %d", stat.Czxid, last)
		}
		last = stat.Czxid
	}
}

// testConcurrent: conditional writes of many sessions lose no update.
func testConcurrent(t *testing.T, f Factory) {
	const sessions, rounds = 4, 20
	a := open(t, f)
	a.create("/n", "", coordination.Persistent)
	var wg sync.WaitGroup
	for range sessions {
		s := open(t, f)
		wg.Go(func() {
			for done := 0; done < rounds; {
				_, stat, err := s.tree.Get(s.ctx, "/n")
				if err == nil {
					_, err = s.tree.Set(s.ctx, "/n", nil, stat.Version)
				}
				switch {
				case err == nil:
					done++
				case !errors.Is(err, coordination.ErrBadVersion):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, stat := a.get("/n"); stat.Version != sessions*rounds {
		t.Fatalf("version %d, want %d", stat.Version, sessions*rounds)
	}
}

func testCancelled(t *testing.T, f Factory) {
	a := open(t, f)
	ctx, cancel := context.WithCancel(a.ctx)
	cancel()
	if _, _, err := a.tree.Get(ctx, "/"); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	a.create("/still", "", coordination.Persistent)
}
