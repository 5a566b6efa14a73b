package console

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/leatstream/leat/cmd/internal/admin"
)

const (
	sampleInterval = time.Second
	// A sample may take up to 1/(1+sampleRest) of the time: large clusters are
	// looked at less often.
	sampleRest    = 4
	sampleTimeout = 10 * time.Second
)

// sampler reads the cluster from time to time and publishes what it found.
type sampler struct {
	cfg     Config
	adm     *kadm.Client
	history *history
	meter   meter
	files   *fileIndex
	current atomic.Pointer[snapshot]

	mu   sync.Mutex
	next chan struct{} // closed when there is a new snapshot
}

func newSampler(cfg Config, adm *kadm.Client) *sampler {
	s := &sampler{cfg: cfg, adm: adm, history: newHistory(), files: newFileIndex(cfg.Files), next: make(chan struct{})}
	s.current.Store(&snapshot{})
	return s
}

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) {
	for {
		began := time.Now()
		s.sample(ctx)
		took := time.Since(began)
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(sampleInterval-took, sampleRest*took)):
		}
	}
}

// snapshot is the latest one, and a channel that closes when it is outdated.
func (s *sampler) snapshot() (*snapshot, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.Load(), s.next
}

func (s *sampler) publish(snap *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Store(snap)
	close(s.next)
	s.next = make(chan struct{})
}

// sample makes a snapshot. What does not answer keeps the values of the last
// time.
func (s *sampler) sample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	last := s.current.Load()
	snap := *last
	counts := map[string]int64{}
	snap.err = s.readCluster(ctx, &snap, counts)
	if snap.err != nil {
		if ctx.Err() == context.Canceled {
			return
		}
		if snap.since = last.since; last.err == nil {
			snap.since = time.Now()
		}
		s.publish(&snap)
		return
	}
	snap.at = time.Now()
	s.readLocal(&snap, counts)
	s.meter.add(snap.at, counts)
	snap.now, snap.recent = s.meter.rates(1), s.meter.rates(meterSpan)
	s.steady(snap.recent)
	snap.pipelines = pipelineRows(s.cfg.Pipelines, snap.groups)
	snap.live = liveTexts(&snap, s.cfg.Pipelines)
	s.record(&snap)
	s.publish(&snap)
}

// steady gives what moves in large steps a rate over a longer time: rows of
// files, and groups that commit with each file.
func (s *sampler) steady(recent rates) {
	for key, rate := range s.meter.rates(filesSpan) {
		if key == filesKey || recent[key] == 0 && (strings.HasPrefix(key, "group/") || strings.HasPrefix(key, "read/")) {
			recent[key] = rate
		}
	}
}

// readCluster asks the brokers, and fills in the counts from which rates are
// made.
func (s *sampler) readCluster(ctx context.Context, snap *snapshot, counts map[string]int64) (err error) {
	if snap.cluster, err = admin.DescribeCluster(ctx, s.adm); err != nil {
		return err
	}
	if snap.topics, err = admin.Topics(ctx, s.adm, true); err != nil {
		return err
	}
	ends, err := s.adm.ListEndOffsets(ctx)
	if err != nil && len(ends) == 0 {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			counts[topicKey(o.Topic)] += o.Offset
		}
	})
	for _, t := range snap.topics {
		counts[topicBytesKey(t.Name)] = t.SizeBytes
	}
	snap.reads = map[string][]string{}
	snap.groups, err = s.readGroups(ctx, snap.reads, counts)
	return err
}

// readGroups is the list of groups with members and lag.
func (s *sampler) readGroups(ctx context.Context, reads map[string][]string, counts map[string]int64) ([]admin.Group, error) {
	listed, err := s.adm.ListGroups(ctx)
	if err != nil && len(listed) == 0 {
		return nil, err
	}
	groups := make([]admin.Group, 0, len(listed))
	var names []string
	for _, g := range listed.Sorted() {
		groups = append(groups, admin.Group{Group: g.Group, State: g.State, ProtocolType: g.ProtocolType, Coordinator: g.Coordinator})
		names = append(names, g.Group)
	}
	if len(names) == 0 {
		return groups, nil
	}
	lags, err := s.adm.Lag(ctx, names...)
	if err != nil && len(lags) == 0 {
		return nil, err
	}
	for i := range groups {
		l, ok := lags[groups[i].Group]
		if !ok || l.Error() != nil {
			continue
		}
		members, total := len(l.Members), l.Lag.Total()
		groups[i].Members, groups[i].Lag = &members, &total
		for _, p := range l.Lag.Sorted() {
			if p.Commit.At >= 0 {
				counts[groupKey(l.Group)] += p.Commit.At
				counts[readKey(l.Group, p.Topic)] += p.Commit.At
				if !slices.Contains(reads[l.Group], p.Topic) {
					reads[l.Group] = append(reads[l.Group], p.Topic)
				}
			}
		}
	}
	return groups, nil
}

// readLocal asks what runs in this process.
func (s *sampler) readLocal(snap *snapshot, counts map[string]int64) {
	if s.cfg.Connectors != nil {
		snap.connectors = s.cfg.Connectors()
		for _, c := range snap.connectors {
			counts[connectorKey(c.Connector.Connector)] = c.Records
		}
	}
	snap.files, snap.filesErr = s.files.list()
	if s.cfg.Files != "" {
		counts[filesKey] = snap.rows()
	}
}

// record adds the sample to the history.
func (s *sampler) record(snap *snapshot) {
	values := map[string]float64{seriesLag: float64(snap.lag())}
	if len(s.meter.readings) > 1 {
		values[seriesRecords], values[seriesBytes] = snap.sums(snap.now)
		for _, t := range snap.topics {
			if rate, ok := snap.now[topicKey(t.Name)]; ok && !t.Internal {
				values[topicSeries(t.Name)] = rate
				values[topicByteSeries(t.Name)] = snap.now[topicBytesKey(t.Name)]
			}
		}
	}
	for _, g := range snap.groups {
		if g.Lag != nil {
			values[lagSeries(g.Group)] = float64(*g.Lag)
		}
	}
	s.history.add(snap.at, values)
}
