package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/connectors/all"
	"github.com/leatstream/leat/pipelines"
)

// drainLimit bounds how long the pipelines may take to catch up at the end.
const drainLimit = 30 * time.Second

// sessionTimeout is the shortest that brokers allow: after a crash on the same
// folder, the groups wait that long for their former members.
const sessionTimeout = 6 * time.Second

// instanceID makes the members of the groups static, in the one process there
// is on a folder: after a crash they take over from themselves at once.
const instanceID = "demo"

// demo is one run.
type demo struct {
	cfg    Config
	dir    folder
	parts  *parts
	health *ops.Health

	bootstrap string
	notes     []string // about shifted ports
	client    []kgo.Opt
	adm       *kadm.Client
	pipelines []*Pipeline
	sources   *herder.Standalone
	links     []ops.Link
	urls      map[string]string
	first     chan time.Duration  // until a consumer saw the first record
	lasting   map[string]*lasting // what a trial may stop: the broker, and pipelines by name
	trial     *trial
}

// Run runs the demo until the context ends, cfg.For is over or a part fails,
// and stops it in order. The summary is of the state at the end.
func Run(ctx context.Context, cfg Config) (s Summary, err error) {
	dir, err := openFolder(cfg)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	d := &demo{
		cfg: cfg, dir: dir, health: &ops.Health{}, urls: map[string]string{}, lasting: map[string]*lasting{}, first: make(chan time.Duration, 1),
		parts: &parts{ctx: context.WithoutCancel(ctx), ended: make(chan *part, 1)},
	}
	defer func() { err = errors.Join(err, d.parts.stop()) }()
	if err := d.start(ctx); err != nil {
		return s, err
	}
	d.banner()
	if err := d.watch(ctx); err != nil {
		return s, err
	}
	return d.finish()
}

func (d *demo) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.startBroker, d.startWatcher, d.startPipelines, d.startSources, d.startConsole, d.startAdmin,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// port finds a port and notes a shift.
func (d *demo) port(what string, wanted int) (int, error) {
	port, err := freePort(wanted, d.cfg.Port == 0)
	if err == nil && d.cfg.Port != 0 && port != wanted {
		d.notes = append(d.notes, fmt.Sprintf("port %d is taken: %s on %d", wanted, what, port))
	}
	return port, err
}

func (d *demo) startBroker(ctx context.Context) error {
	port, err := d.port("Kafka API", d.cfg.Port)
	if err != nil {
		return err
	}
	d.bootstrap = net.JoinHostPort("localhost", strconv.Itoa(port))
	ready := make(chan struct{}) // of the first run
	d.health.Register("broker", ops.Closed(ready))
	d.lasting["broker"] = newLasting(d.runBroker(sync.OnceFunc(func() { close(ready) })))
	p := d.parts.start("broker", d.lasting["broker"].run)
	select {
	case <-ready:
	case <-p.done:
		return fmt.Errorf("broker: %w", p.err)
	case <-ctx.Done():
		return ctx.Err()
	}
	d.client, err = client.Config{Brokers: []string{d.bootstrap}, ClientID: "leat-demo"}.Options()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(d.client...)
	if err != nil {
		return err
	}
	d.adm = kadm.NewClient(cl)
	d.parts.start("admin client", func(ctx context.Context) error {
		<-ctx.Done()
		cl.Close()
		return nil
	})
	return nil
}

// runBroker runs a broker on the demo's folder, each time anew.
func (d *demo) runBroker(ready func()) func(context.Context) error {
	return func(ctx context.Context) error {
		reg := &rented{Registerer: d.cfg.Registry}
		defer reg.leave()
		b, err := broker.New(broker.Config{DataDir: d.dir.broker(), Properties: map[string]string{
			"listeners": "PLAINTEXT://" + d.bootstrap, "group.initial.rebalance.delay.ms": "0", "num.partitions": "3",
		}}, d.cfg.Log, reg)
		if err != nil {
			return err
		}
		go func() {
			select {
			case <-b.Ready():
				ready()
			case <-ctx.Done():
			}
		}()
		return b.Run(ctx)
	}
}

// startWatcher starts a consumer that waits for the first activity record.
func (d *demo) startWatcher(ctx context.Context) error {
	if err := d.createTopics(ctx); err != nil {
		return err
	}
	d.parts.start("first reader", func(ctx context.Context) error {
		cl, err := kgo.NewClient(append(d.client, kgo.ConsumeTopics(topicActivity), kgo.FetchMaxWait(100*time.Millisecond))...)
		if err != nil {
			return err
		}
		defer cl.Close()
		for ctx.Err() == nil {
			if cl.PollFetches(ctx).NumRecords() > 0 {
				d.first <- time.Since(d.cfg.Started)
				break
			}
		}
		<-ctx.Done()
		return nil
	})
	return nil
}

func (d *demo) createTopics(ctx context.Context) error {
	for topic, partitions := range map[string]int32{topicActivity: 3, topicMetrics: 1, topicAccess: 1} {
		if _, err := d.adm.CreateTopic(ctx, partitions, 1, nil, topic); err != nil && !exists(err) {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}

func (d *demo) startPipelines(context.Context) error {
	run := d.cfg.Connectors(herder.Config{
		Client: d.client, Logger: d.cfg.Log, Registry: d.cfg.Registry,
		Worker: map[string]string{"consumer.session.timeout.ms": strconv.FormatInt(sessionTimeout.Milliseconds(), 10), "consumer.group.instance.id": instanceID},
	})
	for _, name := range pipelines.Ready() {
		text, err := pipelines.ReadyDocument(name)
		if err != nil {
			return err
		}
		plan, problems := pipelines.Load(name, text, pipelines.Options{Params: d.params(name)})
		if err := problems.Err(); err != nil {
			return err
		}
		app, err := pipelines.New(plan, pipelines.Config{
			Client: d.client, StateDir: d.dir.states(), Threads: 1, PollWait: 50 * time.Millisecond, CommitInterval: 250 * time.Millisecond, SessionTimeout: sessionTimeout, InstanceID: instanceID,
			Connectors: run, Logger: d.cfg.Log.With("pipeline", name), Registry: d.cfg.Registry,
		})
		if err != nil {
			return err
		}
		d.pipelines = append(d.pipelines, &Pipeline{App: app, Text: string(text)})
		d.lasting[name] = newLasting(app.Run)
		d.parts.start("pipeline "+name, d.lasting[name].run)
	}
	return nil
}

// longestRoll is how old a Parquet file may become; it is shorter where
// windows are, so that the export keeps pace with the results.
const longestRoll = 10 * time.Second

// params shortens the windows, so that results are seen soon.
func (d *demo) params(pipeline string) map[string]string {
	p := map[string]string{"window": d.cfg.Window.String(), "grace": grace.String()}
	if pipeline == activityPipeline {
		p["out"], p["roll"] = d.dir.files(), min(longestRoll, 2*d.cfg.Window).String()
	}
	return p
}

func (d *demo) startSources(context.Context) error {
	access := d.cfg.Tail
	if access == "" {
		access = d.dir.sample()
		if err := os.WriteFile(access, pipelines.SampleAccessLog(), 0o644); err != nil {
			return err
		}
	}
	h, err := herder.NewStandalone(herder.Config{
		Worker: map[string]string{
			"key.converter": "string", "value.converter": "json", "value.converter.schemas.enable": "false",
			"offset.storage.file.filename": d.dir.offsets(), "offset.flush.interval.ms": "1000",
		},
		Connectors: sourceProperties(d.cfg.Rate, access), Plugins: all.Plugins(),
		Client: d.client, Logger: d.cfg.Log, Registry: d.cfg.Registry,
	})
	if err != nil {
		return err
	}
	d.sources = h
	d.parts.start("sources", h.Run)
	return nil
}

func (d *demo) startConsole(context.Context) error {
	if d.cfg.Console == nil {
		return nil
	}
	d.trial = newTrial(d)
	c, err := d.cfg.Console(Parts{
		Bootstrap: d.bootstrap, Client: d.client, Pipelines: d.pipelines, Connectors: d.sources, Files: d.dir.files(),
		Registry: d.cfg.Registry, Log: d.cfg.Log, Trial: d.trial,
	})
	if err != nil {
		return err
	}
	port, err := d.port("console", consolePort)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("localhost", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	d.urls["Console"] = "http://" + net.JoinHostPort("localhost", strconv.Itoa(port))
	d.parts.start("console sampler", c.Run)
	d.parts.start(trialPart, d.trial.run)
	d.parts.start("console", func(ctx context.Context) error { return serveHTTP(ctx, l, c) })
	if d.cfg.Opened != nil {
		d.cfg.Opened(d.urls["Console"])
	}
	return nil
}

// serveHTTP serves until ctx ends. Streams of events end with the base context.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(deadline) != nil {
			_ = srv.Close() // those who did not go in time
		}
	})
	err := srv.Serve(l)
	if ctx.Err() == nil {
		return err
	}
	<-stopped
	return nil
}

func (d *demo) startAdmin(context.Context) error {
	port, err := d.port("metrics", adminPort)
	if err != nil {
		return err
	}
	addr := net.JoinHostPort("localhost", strconv.Itoa(port))
	for name, url := range d.urls {
		d.links = append(d.links, ops.Link{Path: url, Text: name})
	}
	srv := ops.NewServer(ops.Config{Addr: addr, Links: d.links}, d.cfg.Gatherer, d.health, d.cfg.Log)
	if err := srv.Listen(); err != nil {
		return err
	}
	d.urls["Metrics"] = "http://" + addr + "/metrics"
	d.parts.start("admin server", srv.Run)
	return nil
}

// watch shows the ticker until the end.
func (d *demo) watch(ctx context.Context) error {
	var over <-chan time.Time
	if d.cfg.For > 0 {
		over = time.After(d.cfg.For)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	t := ticker{d: d}
	defer t.end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return nil
		case p := <-d.parts.ended:
			return fmt.Errorf("%s ended: %w", p.name, errors.Join(p.err, errEnded))
		case <-tick.C:
			t.show(ctx)
		}
	}
}

var errEnded = errors.New("a part of the demo is not running any more")

// finish stops the sources, lets the pipelines work off what is there, and
// counts.
func (d *demo) finish() (Summary, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.parts.ctx), drainLimit)
	defer cancel()
	if err := errors.Join(d.stopPart(trialPart), d.stopPart("sources")); err != nil {
		return Summary{}, err
	}
	if d.cfg.For == 0 {
		return Summary{}, nil
	}
	if err := d.drain(ctx); err != nil {
		return Summary{}, err
	}
	s := Summary{}
	if err := d.countOpen(&s); err != nil {
		return s, err
	}
	for _, p := range d.pipelines {
		if err := d.stopPart("pipeline " + p.App.Plan().Name); err != nil {
			return s, err
		}
	}
	return s, d.count(ctx, &s)
}

func (d *demo) stopPart(name string) error {
	for _, p := range d.parts.list {
		if p.name == name {
			return p.stop()
		}
	}
	return nil
}

// drain waits until every pipeline has committed all there is.
func (d *demo) drain(ctx context.Context) error {
	var groups []string
	for _, p := range d.pipelines {
		if p.App.Topology() != nil {
			groups = append(groups, p.App.Plan().Name)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lags, err := d.adm.Lag(ctx, groups...)
		if err == nil {
			if total, ok := totalLag(lags, groups); ok && total == 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the pipelines did not catch up within %s: %w", drainLimit, ctx.Err())
		case p := <-d.parts.ended:
			return fmt.Errorf("%s ended: %w", p.name, errors.Join(p.err, errEnded))
		case <-tick.C:
		}
	}
}

func totalLag(lags kadm.DescribedGroupLags, groups []string) (int64, bool) {
	var total int64
	for _, g := range groups {
		l, ok := lags[g]
		if !ok || l.Error() != nil {
			return 0, false
		}
		total += l.Lag.Total()
	}
	return total, true
}
