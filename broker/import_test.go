package broker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/transfer"
	"github.com/leatstream/leat/broker/vfs"
)

// nobody is the address of no ZooKeeper.
const nobody = "127.0.0.1:1"

func importFrom(t *testing.T, cfg Config, zooKeeper string) error {
	t.Helper()
	_, err := Import(t.Context(), cfg, ImportOptions{ZooKeeper: zooKeeper, DialTimeout: 50 * time.Millisecond}, nil)
	return err
}

func TestImportRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		cfg       Config
		zooKeeper string
		err       error
		text      string
	}{
		"no address":     {Config{DataDir: dir}, "", ErrConfig, "host:port"},
		"bad address":    {Config{DataDir: dir}, "a:x", ErrConfig, "host:port"},
		"no broker id":   {Config{Properties: map[string]string{"log.dirs": filepath.Join(dir, "empty")}}, nobody, ErrConfig, "which broker"},
		"nobody answers": {Config{DataDir: t.TempDir()}, nobody, ErrImportSource, nobody},
		"tree within":    {Config{DataDir: dir, CoordinationDir: filepath.Join(dir, "log", "tree")}, nobody, ErrConfig, "inside a log directory"},
	} {
		if err := importFrom(t, c.cfg, c.zooKeeper); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// planned is an importer with a plan of one topic of two partitions, of which
// broker 1 holds the first, and log directories as a test likes them.
func planned(t *testing.T, dirs ...string) *importer {
	t.Helper()
	m, err := newImporter(Config{
		CoordinationDir: filepath.Join(t.TempDir(), "tree"),
		Properties:      map[string]string{"broker.id": "1", "log.dirs": strings.Join(dirs, ","), "zookeeper.connect": "zk:2181"},
	}, ImportOptions{ZooKeeper: nobody}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	m.plan = &transfer.Plan{ClusterID: "theCluster", Broker: 1, LiveBrokers: []int32{2}, Topics: []transfer.Topic{{Name: "orders", Partitions: []transfer.Partition{
		{ID: 0, Fate: transfer.Taken, Replicas: []int32{1, 2}, ISR: []int32{1}},
		{ID: 1, Fate: transfer.Elsewhere, Replicas: []int32{2}, ISR: []int32{2}},
		{ID: 2, Fate: transfer.Taken, Replicas: []int32{1}},
	}}}}
	m.describe()
	return m
}

// nodes is a source without folders.
type nodes map[string]string

func (n nodes) Get(_ context.Context, path string) ([]byte, coordination.Stat, error) {
	data, ok := n[path]
	if !ok {
		return nil, coordination.Stat{}, coordination.ErrNoNode
	}
	return []byte(data), coordination.Stat{}, nil
}

func (n nodes) Children(context.Context, string) ([]string, coordination.Stat, error) {
	return nil, coordination.Stat{}, coordination.ErrNoNode
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestImportComparesFolders(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write(t, filepath.Join(a, metaFile), "version=0\nbroker.id=1\ncluster.id=theCluster\n")
	write(t, filepath.Join(b, "orders-0", "00000000000000000000.log"), "")
	write(t, filepath.Join(b, "unknown-7", "00000000000000000000.log"), "")
	write(t, filepath.Join(b, "lost+found", "x"), "")
	m := planned(t, a, b)
	if err := m.checkDirs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := m.out.Partitions; len(p) != 3 || p[0].Fate != ImportTaken || p[0].Folder != filepath.Join(b, "orders-0") || p[1].Fate == ImportTaken || p[2].Folder != "" {
		t.Errorf("%+v", m.out.Partitions)
	}
	all := strings.Join(m.out.Warnings, "\n")
	for _, want := range []string{"brokers [2]", "partitions [1] lie on other brokers", "partitions [2] have no folder", filepath.Join(b, "unknown-7") + " is of a partition that"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q among the warnings:\n%s", want, all)
		}
	}
	if len(m.out.Warnings) != 4 {
		t.Errorf("%d warnings:\n%s", len(m.out.Warnings), all)
	}
}

func TestImportRefusesForeignFolders(t *testing.T) {
	for _, meta := range []string{"version=0\nbroker.id=1\ncluster.id=another\n", "version=0\nbroker.id=2\ncluster.id=theCluster\n"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, metaFile), meta)
		if err := planned(t, dir).checkDirs(t.Context()); !errors.Is(err, ErrImportConflict) {
			t.Errorf("%q: %v", meta, err)
		}
	}
	dir := t.TempDir()
	held, err := vfs.OS{}.Lock(filepath.Join(dir, format.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := planned(t, dir).lockDirs(t.Context()); !errors.Is(err, ErrImportConflict) {
		t.Errorf("a locked directory: %v", err)
	}
}

// A tree appears whole, also where an import was cut short before, and is not
// written over.
func TestImportWritesOnce(t *testing.T) {
	m := planned(t, t.TempDir())
	write(t, filepath.Join(m.tree+".importing", "log-0000000000000000"), "half a tree")
	if err := m.checkTree(t.Context()); err != nil {
		t.Fatal(err)
	}
	source := nodes{coordination.ClusterIDPath: `{"version":"1","id":"theCluster"}`, coordination.ControllerEpochPath: "3"}
	var err error
	if m.plan, err = transfer.Read(t.Context(), source, transfer.Options{Broker: 1}); err != nil {
		t.Fatal(err)
	}
	if err := m.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.tree + ".importing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left of the import: %v", err)
	}
	err = m.withTree(t.Context(), m.tree, func(tree coordination.Tree) error {
		data, _, err := tree.Get(t.Context(), coordination.ControllerEpochPath)
		if string(data) != "3" {
			t.Errorf("controller epoch %q", data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.checkTree(t.Context()); !errors.Is(err, ErrImportConflict) {
		t.Errorf("a tree that is not empty: %v", err)
	}
}
