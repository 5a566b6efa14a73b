package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/coordination/transfer"
	"github.com/leatstream/leat/broker/coordination/zookeeper"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/vfs"
)

// Errors of Import. What ZooKeeper answers is wrapped as it is.
var (
	// ErrImportConflict: the tree is not empty, the broker still runs, or its
	// folders belong to another cluster or broker.
	ErrImportConflict = errors.New("import refused")
	// ErrImportSource: ZooKeeper cannot be reached, or holds no Kafka cluster.
	ErrImportSource = errors.New("import source")
)

// ImportOptions say what Import takes over, and from where.
type ImportOptions struct {
	// ZooKeeper is the connection string of the Kafka cluster:
	// host:port[,host:port][/chroot].
	ZooKeeper string
	// DryRun reads and checks everything and writes nothing.
	DryRun bool
	// Unclean takes over also partitions that this broker did not hold in sync.
	Unclean bool
	// DialTimeout bounds the wait for ZooKeeper; default 10 s.
	DialTimeout time.Duration
	// Progress, if not nil, is told of topics read and nodes written. It is called
	// from one goroutine at a time.
	Progress func(what string, done, total int)
}

// ImportTaken is the fate of a partition that the broker leads from then on.
const ImportTaken = string(transfer.Taken)

// ImportPartition is one partition of a Kafka cluster and what becomes of it.
type ImportPartition struct {
	Topic     string
	Partition int32
	Fate      string // ImportTaken, "elsewhere" or "out of sync"; only the first is served
	Replicas  []int32
	ISR       []int32
	Folder    string // on this broker's disks; "": there is none
}

// Imported tells what Import did, or would do.
type Imported struct {
	ClusterID       string
	BrokerID        int32
	Tree            string // folder of the tree
	ControllerEpoch int32
	NextProducerID  int64
	Topics          int
	Partitions      []ImportPartition
	Nodes           map[string]int // nodes carried over as they are, by kind
	NodesTotal      int
	Warnings        []string
}

// Import fills the embedded tree of a broker from the ZooKeeper of the Kafka
// cluster to which its log directories belong, so that a broker with the same
// configuration serves them. The tree must be empty and the Kafka broker down.
// The tree appears whole or not at all; the log directories are only read.
func Import(ctx context.Context, cfg Config, opts ImportOptions, log *slog.Logger) (*Imported, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m, err := newImporter(cfg, opts, log)
	if err != nil {
		return nil, err
	}
	defer m.unlock()
	for _, step := range []func(context.Context) error{
		m.checkTree, // nothing is ever written over
		m.lockDirs,  // nobody writes to them meanwhile
		m.read,      // what the cluster knows
		m.checkDirs, // that they are this cluster's and this broker's
		m.write,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return m.out, nil
}

// importer is one call of Import.
type importer struct {
	opts  ImportOptions
	log   *slog.Logger
	fs    vfs.FS
	dirs  []string // log directories
	tree  string   // folder of the tree
	locks []io.Closer
	plan  *transfer.Plan
	out   *Imported
}

func newImporter(cfg Config, opts ImportOptions, log *slog.Logger) (*importer, error) {
	properties := cfg.properties()
	delete(properties, "zookeeper.connect") // of the broker that was; the tree is our own
	id, err := brokerID(properties)
	if err != nil {
		return nil, err
	}
	configs, err := metadata.NewConfigs(id, properties)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	settings := configs.Broker()
	if len(settings.LogDirs) == 0 {
		return nil, fmt.Errorf("%w: log.dirs is empty", ErrConfig)
	}
	if id == unknownID {
		if id, err = storedID(settings.LogDirs); err != nil {
			return nil, err
		}
	}
	if id == unknownID {
		return nil, fmt.Errorf("%w: neither broker.id nor a meta.properties in the log directories tells which broker of the cluster this is", ErrConfig)
	}
	if _, _, err := zookeeper.ParseAddress(opts.ZooKeeper); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	tree, err := cfg.coordinationDir(settings.LogDirs)
	if err != nil {
		return nil, err
	}
	if opts.DialTimeout <= 0 {
		opts.DialTimeout = 10 * time.Second
	}
	return &importer{
		opts: opts, log: log, fs: vfs.OS{}, dirs: settings.LogDirs, tree: tree,
		out: &Imported{BrokerID: id, Tree: tree},
	}, nil
}

// checkTree refuses a folder that holds a tree with anything in it. That of a
// broker that never got beyond its first start is as good as none.
func (m *importer) checkTree(ctx context.Context) error {
	entries, err := m.fs.ReadDir(m.tree)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var empty bool
	err = m.withTree(ctx, m.tree, func(tree coordination.Tree) error {
		empty, err = transfer.Empty(ctx, tree)
		return err
	})
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("%w: a broker runs on the tree in %s", ErrImportConflict, m.tree)
	}
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("%w: the tree in %s holds a cluster already", ErrImportConflict, m.tree)
	}
	return nil
}

// withTree opens a tree, makes calls and closes it.
func (m *importer) withTree(ctx context.Context, dir string, calls func(coordination.Tree) error) error {
	store, err := embedded.Open(embedded.Config{Dir: dir, FS: m.fs}, m.log, nil)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(running) }()
	tree, err := store.Connect(ctx)
	if err == nil {
		err = errors.Join(calls(tree), tree.Session().Close(ctx))
	}
	stop()
	return errors.Join(err, <-ended)
}

// lockDirs takes the lock that every broker, of Kafka or ours, holds on its log
// directories. A directory that is not there holds no partitions.
func (m *importer) lockDirs(context.Context) error {
	for _, dir := range m.dirs {
		if _, err := m.fs.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			m.warn("log directory %s does not exist", dir)
			continue
		}
		lock, err := m.fs.Lock(filepath.Join(dir, format.LockFile))
		if errors.Is(err, vfs.ErrLocked) {
			return fmt.Errorf("%w: a broker runs on %s; stop it first", ErrImportConflict, dir)
		}
		if err != nil {
			return err
		}
		m.locks = append(m.locks, lock)
	}
	return nil
}

func (m *importer) unlock() {
	for _, lock := range m.locks {
		lock.Close()
	}
}

func (m *importer) warn(format string, args ...any) {
	m.out.Warnings = append(m.out.Warnings, fmt.Sprintf(format, args...))
}

func (m *importer) progress(what string) func(done, total int) {
	if m.opts.Progress == nil {
		return nil
	}
	return func(done, total int) { m.opts.Progress(what, done, total) }
}

func (m *importer) read(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, m.opts.DialTimeout)
	defer cancel()
	source, err := zookeeper.Dial(dialing, m.opts.ZooKeeper, m.log)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImportSource, err)
	}
	defer source.Close()
	m.plan, err = transfer.Read(ctx, source, transfer.Options{Broker: m.out.BrokerID, Unclean: m.opts.Unclean, Progress: m.progress("topics read")})
	switch {
	case errors.Is(err, transfer.ErrBrokerRunning):
		return fmt.Errorf("%w: %w", ErrImportConflict, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrImportSource, err)
	}
	m.describe()
	return nil
}

// describe fills in the report what the plan says.
func (m *importer) describe() {
	p := m.plan
	m.out.ClusterID, m.out.ControllerEpoch, m.out.NextProducerID = p.ClusterID, p.ControllerEpoch, p.NextProducerID
	m.out.Topics, m.out.Nodes, m.out.NodesTotal = len(p.Topics), p.Counts, len(p.Nodes())
	if len(p.LiveBrokers) > 0 {
		m.warn("brokers %v of the cluster are running: what they go on taking in does not reach this broker", p.LiveBrokers)
	}
	for _, n := range p.LeftOut {
		m.warn("%s is left out: %s", n.Path, n.Reason)
	}
	for _, t := range p.Topics {
		if t.Deleting {
			m.warn("topic %s is marked for deletion: its partitions here are deleted when the broker starts", t.Name)
		}
	}
}

// checkDirs compares the log directories with the plan.
func (m *importer) checkDirs(context.Context) error {
	folders := map[string]string{} // by name; its path
	for _, dir := range m.dirs {
		if err := m.checkIdentity(dir); err != nil {
			return err
		}
		entries, err := m.fs.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				folders[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
	}
	for _, t := range m.plan.Topics {
		m.listPartitions(t, folders)
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		if _, ok := format.ParseFolder(name); ok {
			m.warn("%s is of a partition that the cluster does not know, or not on this broker", folders[name])
		}
	}
	return nil
}

// checkIdentity makes sure that a log directory is of the cluster and the broker.
func (m *importer) checkIdentity(dir string) error {
	meta, found, err := format.ReadMetaProperties(m.fs, dir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", dir, err)
	case !found:
		return nil
	case meta.ClusterID != "" && meta.ClusterID != m.plan.ClusterID:
		return fmt.Errorf("%w: %s is of cluster %s, but ZooKeeper is that of %s", ErrImportConflict, dir, meta.ClusterID, m.plan.ClusterID)
	case meta.BrokerID >= 0 && meta.BrokerID != m.plan.Broker:
		return fmt.Errorf("%w: %s is of broker %d, not of broker %d", ErrImportConflict, dir, meta.BrokerID, m.plan.Broker)
	}
	return nil
}

// listPartitions reports the partitions of a topic, and takes their folders out
// of folders.
func (m *importer) listPartitions(t transfer.Topic, folders map[string]string) {
	elsewhere, lagging, missing := []int32{}, []int32{}, []int32{}
	for _, p := range t.Partitions {
		name := t.Name + "-" + strconv.Itoa(int(p.ID))
		folder := folders[name]
		delete(folders, name)
		m.out.Partitions = append(m.out.Partitions, ImportPartition{
			Topic: t.Name, Partition: p.ID, Fate: string(p.Fate), Replicas: p.Replicas, ISR: p.ISR, Folder: folder,
		})
		switch {
		case p.Fate == transfer.Elsewhere:
			elsewhere = append(elsewhere, p.ID)
		case p.Fate == transfer.OutOfSync:
			lagging = append(lagging, p.ID)
		case folder == "":
			missing = append(missing, p.ID)
		}
	}
	if len(elsewhere) > 0 {
		m.warn("topic %s: partitions %v lie on other brokers only and will have no leader", t.Name, elsewhere)
	}
	if len(lagging) > 0 {
		m.warn("topic %s: partitions %v are not in sync on this broker and will have no leader; an unclean import takes them over and loses what only others have", t.Name, lagging)
	}
	if len(missing) > 0 {
		m.warn("topic %s: partitions %v have no folder in the log directories and will be empty", t.Name, missing)
	}
}

// write makes the tree in a folder beside its place, and moves it there when it
// is whole.
func (m *importer) write(ctx context.Context) error {
	if m.opts.DryRun {
		return nil
	}
	fresh := m.tree + ".importing"
	if err := m.fs.RemoveAll(fresh); err != nil { // of an import that was cut short
		return err
	}
	err := m.withTree(ctx, fresh, func(tree coordination.Tree) error {
		return m.plan.Apply(ctx, tree, m.progress("nodes written"))
	})
	if err == nil {
		err = m.fs.RemoveAll(m.tree) // empty, as was checked
	}
	if err == nil {
		err = m.fs.Rename(fresh, m.tree)
	}
	if err == nil {
		err = m.fs.SyncDir(filepath.Dir(m.tree))
	}
	if err != nil {
		return errors.Join(err, m.fs.RemoveAll(fresh))
	}
	return nil
}
