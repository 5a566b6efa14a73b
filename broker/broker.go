package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/api"
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/clean"
	"github.com/leatstream/leat/broker/commitlog/scrub"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/controller"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Broker is one broker in this process. Several may run in one process, each
// with its own folders.
type Broker struct {
	cfg   Config
	log   *slog.Logger
	reg   prometheus.Registerer
	ready chan struct{} // closed when clients are served

	configs  *metadata.Configs
	settings *metadata.BrokerConfig // as given; for what may change see configs

	// What follows is set by the steps of start, each before the steps that use
	// it, and read by others only after ready.
	id        int32
	clusterID string
	epoch     int64             // of the registration; -1 before
	tree      coordination.Tree // this broker's session
	images    *metadata.Cache
	logs      *commitlog.Manager
	replicas  *replica.Manager
	groups    *group.Service
	admin     *controller.Admin
	api       *api.API
	stores    stores // what listeners encrypt with
	listeners listeners

	dirsMu     sync.Mutex
	failedDirs map[string]bool
}

// New checks the configuration and builds a broker. It touches nothing on disk
// and opens no socket. Without a logger nothing is logged; without a registerer
// nobody sees the metrics.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Broker, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	if cfg.Authorizer == nil {
		cfg.Authorizer = auth.AllowAll{}
	}
	if err := cfg.checkDataDir(); err != nil {
		return nil, err
	}
	properties := cfg.properties()
	id, err := brokerID(properties)
	if err != nil {
		return nil, err
	}
	configs, err := metadata.NewConfigs(id, properties)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	settings := configs.Broker()
	if err := check(settings); err != nil {
		return nil, err
	}
	for _, key := range configs.Unknown() {
		log.Warn("a key of the configuration is not known and has no effect", "key", key.Name, "meant", key.Nearest)
	}
	return &Broker{
		cfg: cfg, log: log, reg: reg, configs: configs, settings: settings,
		id: unknownID, epoch: noEpoch,
		ready: make(chan struct{}), failedDirs: make(map[string]bool),
	}, nil
}

// noEpoch is the epoch of a broker that is not registered.
const noEpoch = -1

// Ready is closed when the broker serves clients. It stays open when Run fails
// before.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// Addr is the address on which a listener accepts connections, nil if there is
// no such listener. It may be called when Ready is closed.
func (b *Broker) Addr(listener string) net.Addr {
	if l, ok := b.listeners[listener]; ok {
		return l.Addr()
	}
	return nil
}

// ID is the broker's id, which may have been generated. It may be called when
// Ready is closed.
func (b *Broker) ID() int32 { return b.id }

// ClusterID is the id of the cluster. It may be called when Ready is closed.
func (b *Broker) ClusterID() string { return b.clusterID }

// Run starts the broker, serves until ctx ends, and stops in order. It returns
// nil after an orderly stop. It can be called once.
func (b *Broker) Run(ctx context.Context) error {
	life := newLife(ctx, b.log)
	err := b.start(life)
	if err == nil {
		close(b.ready)
		<-life.ctx.Done()
	}
	if life.ctx.Err() != nil {
		err = life.cause() // what a step says when it is interrupted does not matter
	}
	if err != nil {
		b.log.Error("broker ends", "broker", b.id, "err", err)
	}
	return errors.Join(err, life.stop())
}

// start starts the parts of the broker. Each step needs those before it; life
// undoes them in the reverse order.
func (b *Broker) start(l *life) error {
	begin := time.Now()
	for _, step := range []func(*life) error{
		b.openStores,      // keys and certificates: wrong ones are told before anything is touched
		b.makeRoom,        // on volumes that are full, for what the start writes
		b.openTree,        // the znodes of the cluster, here in a folder of our own
		b.identify,        // which cluster, which broker; the configuration that holds for it
		b.openLogs,        // the partitions on disk, recovered where need be
		b.startReplicas,   // who leads what: told by the controller, served by replicas
		b.startGroups,     // consumer groups, whose memory is a partition
		b.openListeners,   // sockets, so that the ports are known
		b.register,        // tell the cluster that we are here
		b.startController, // stand for election; the winner sends us our partitions
		b.awaitMembership, // until the controller has
		b.publishFigures,  // metrics that no single part knows
		b.serve,           // let clients in
	} {
		if err := step(l); err != nil {
			return err
		}
	}
	b.log.Info("broker ready", "broker", b.id, "cluster", b.clusterID, "took", time.Since(begin).String())
	return nil
}

func (b *Broker) openStores(*life) error {
	var err error
	if b.stores, err = openStores(b.settings, b.part("tls")); err != nil {
		return err
	}
	b.configs.OnBrokerChange(b.stores.configure)
	return nil
}

func (b *Broker) makeRoom(*life) error {
	for _, dir := range b.settings.LogDirs {
		if err := volume.ReleaseReserve(vfs.OS{}, dir); err != nil {
			b.log.Warn("space held back cannot be released", "dir", dir, "err", err)
		}
	}
	return nil
}

func (b *Broker) openTree(l *life) error {
	dir, err := b.cfg.coordinationDir(b.settings.LogDirs)
	if err != nil {
		return err
	}
	store, err := embedded.Open(embedded.Config{Dir: dir}, b.part("coordination"), b.reg)
	if err != nil {
		return fmt.Errorf("coordination tree: %w", err)
	}
	l.run("coordination tree", store.Run)
	if b.tree, err = store.Connect(l.ctx); err != nil {
		return fmt.Errorf("coordination tree: %w", err)
	}
	l.after("session", func() error { return b.tree.Session().Close(context.Background()) })
	return nil
}

func (b *Broker) identify(l *life) error {
	var err error
	if b.clusterID, err = controller.Prepare(l.ctx, b.tree); err != nil {
		return fmt.Errorf("coordination tree: %w", err)
	}
	if b.id, err = findID(l.ctx, b.tree, b.settings); err != nil {
		return err
	}
	b.configs.SetBrokerID(b.id)
	b.images = metadata.NewCache(b.clusterID)
	watcher := controller.NewConfigWatcher(b.tree, b.configs, b.part("config"))
	if err := watcher.Load(l.ctx); err != nil {
		return fmt.Errorf("configuration in the tree: %w", err)
	}
	l.run("config watcher", watcher.Run)
	return nil
}

func (b *Broker) openLogs(l *life) error {
	retention := clean.Retention{HighWatermark: b.highWatermark}
	c := b.settings
	dirs, err := absolute(c.LogDirs)
	if err != nil {
		return err
	}
	b.logs, err = commitlog.OpenManager(l.ctx, commitlog.ManagerConfig{
		Dirs:                 dirs,
		BrokerID:             b.id,
		ClusterID:            b.clusterID,
		Defaults:             logConfig(b.configs.Topic("")),
		TopicConfig:          func(topic string) commitlog.Config { return logConfig(b.configs.Topic(topic)) },
		FileLimit:            vfs.FileLimit(),
		RecoveryThreads:      recoveryThreads(c, b.cfg.Properties),
		CheckpointInterval:   c.LogFlushOffsetCheckpoint,
		RetentionInterval:    c.LogRetentionCheckInterval,
		ProducerIDExpiration: c.ProducerIDExpiration,
		ReserveBytes:         c.LogReserveBytes,
		Retain:               retention.Apply,
		DirFailed: func(dir string, err error) {
			b.replicas.DirFailed(dir, err)
			b.dirFailed(l, dir, err)
		},
	}, b.part("log"), b.reg)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	l.after("logs", func() error { return b.logs.Close(b.epoch) })
	return nil
}

func (b *Broker) startReplicas(l *life) error {
	c := b.settings
	var err error
	b.replicas, err = replica.NewManager(replica.Config{
		BrokerID:           b.id,
		LagTimeMax:         c.ReplicaLagTimeMax,
		CheckpointInterval: c.HighWatermarkCheckpoint,
		MoveThreads:        c.MoveThreads,
		MoveRate:           func() int64 { return b.configs.Broker().MoveBytesPerSecond },
		TopicConfig:        func(topic string) replica.TopicConfig { return topicConfig(topic, b.configs.Topic(topic)) },
	}, b.logs, b.part("replica"), b.reg)
	if err != nil {
		return fmt.Errorf("replicas: %w", err)
	}
	b.configs.OnTopicChange(b.topicConfigChanged)
	l.run("replicas", b.replicas.Run)
	l.run("log upkeep", b.logs.Run)
	if err := b.startScrubber(l); err != nil {
		return err
	}
	return b.startCleaner(l)
}

// startScrubber looks for damage in what is stored.
func (b *Broker) startScrubber(l *life) error {
	scrubber, err := scrub.New(scrub.Config{
		Settings: func() scrub.Settings { return scrubSettings(b.configs.Broker()) },
		Logs:     b.logs.Logs,
	}, b.part("scrubber"), b.reg)
	if err != nil {
		return fmt.Errorf("scrubber: %w", err)
	}
	l.run("scrubber", scrubber.Run)
	return nil
}

// startCleaner compacts the topics that are configured so.
func (b *Broker) startCleaner(l *life) error {
	if !b.settings.LogCleanerEnable {
		b.log.Warn("log.cleaner.enable is false: compacted topics grow for ever")
		return nil
	}
	cleaner, err := clean.NewCleaner(clean.Config{
		Settings:      func() clean.Settings { return cleanerSettings(b.configs.Broker()) },
		Logs:          b.logs.Logs,
		HighWatermark: b.highWatermark,
	}, b.part("cleaner"), b.reg)
	if err != nil {
		return fmt.Errorf("cleaner: %w", err)
	}
	l.run("cleaner", cleaner.Run)
	return nil
}

func (b *Broker) startGroups(l *life) error {
	var err error
	b.groups, err = group.NewService(groupConfig(b.settings), b.replicas, b.part("group"), b.reg)
	if err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	b.images.OnChange(func(image *metadata.Image) {
		if t, ok := image.Topic(group.OffsetsTopic); ok {
			b.groups.SetPartitions(int32(len(t.Partitions)))
		}
	})
	l.run("groups", b.groups.Run)
	return nil
}

func (b *Broker) openListeners(l *life) error {
	var err error
	if b.listeners, err = listen(l.ctx, b.settings.Listeners, b.stores); err != nil {
		return err
	}
	l.after("listeners", func() error { b.listeners.close(); return nil })
	return nil
}

func (b *Broker) register(l *life) error {
	advertised, err := b.listeners.advertise(b.settings, b.log)
	if err != nil {
		return err
	}
	info := controller.BrokerInfo{ID: b.id, Rack: b.settings.Rack, JMXPort: -1, NowMs: time.Now().UnixMilli()}
	for _, a := range advertised {
		info.Endpoints = append(info.Endpoints, coordination.Endpoint{
			Listener: a.Name, SecurityProtocol: metadata.SecurityProtocolName(a.SecurityProtocol), Host: a.Host, Port: a.Port,
		})
		b.log.Info("advertised", "listener", a.Name, "host", a.Host, "port", a.Port)
	}
	registration, err := controller.RegisterBroker(l.ctx, b.tree, info)
	if err != nil {
		return fmt.Errorf("register broker %d: %w", b.id, err)
	}
	b.epoch = registration.Epoch
	return nil
}

func (b *Broker) startController(l *life) error {
	runner, err := controller.NewRunner(controller.RunnerConfig{
		BrokerID: b.id, Tree: b.tree, Sender: localSender{b}, Configs: b.configs,
	}, b.part("controller"), b.reg)
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	l.run("controller", runner.Run)
	b.admin, err = controller.NewAdmin(controller.AdminConfig{
		BrokerID: b.id, Tree: b.tree, Cache: b.images, Configs: b.configs, CheckBroker: b.stores.check,
	}, b.part("controller"))
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

func (b *Broker) awaitMembership(l *life) error {
	_, err := b.images.Await(l.ctx, func(image *metadata.Image) bool {
		_, known := image.Broker(b.id)
		return known && image.ControllerID != metadata.UnknownController
	})
	return err
}

func (b *Broker) publishFigures(l *life) error {
	f := newFigures(b)
	if err := b.reg.Register(f); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	l.after("metrics", func() error { b.reg.Unregister(f); return nil })
	return nil
}

func (b *Broker) serve(l *life) error {
	var err error
	b.api, err = api.New(api.Deps{
		BrokerID: b.id, ClusterID: b.clusterID,
		Images: b.images, Configs: b.configs, Replicas: b.replicas, Groups: b.groups, Admin: b.admin,
		Tree: b.tree, ProducerIDs: controller.NewProducerIDs(b.tree, b.id),
		Authorizer: b.cfg.Authorizer,
		LogLevel:   b.cfg.LogLevel, Log: b.part("api"), Metrics: b.reg,
	})
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	srv, err := server.New(serverConfig(b.settings, b.cfg.Properties), b.api, b.part("server"), b.reg)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	for name, listener := range b.listeners {
		l.run("listener "+name, func(ctx context.Context) error { return serveUntil(ctx, srv, listener) })
	}
	l.after("connections", func() error {
		b.api.Close()
		ctx, cancel := context.WithTimeout(context.Background(), drainWait)
		defer cancel()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil // parked requests of clients that wait longer than we do
	})
	return nil
}

// drainWait bounds how long a stop waits for requests in flight. Fetches wait
// for records that may never come, so the bound is reached in daily life.
const drainWait = 250 * time.Millisecond

// serveUntil serves a listener. Its normal end is that of the server.
func serveUntil(ctx context.Context, srv *server.Server, l net.Listener) error {
	err := srv.Serve(l)
	if errors.Is(err, server.ErrServerClosed) {
		<-ctx.Done()
		return nil
	}
	return err
}

// part is the logger of a part of the broker.
func (b *Broker) part(name string) *slog.Logger { return b.log.With("component", name) }
