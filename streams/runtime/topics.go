package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/leatstream/leat/streams/topology"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// prepare waits for the input topics, computes the layout, and creates or
// checks the internal topics.
func prepare(ctx context.Context, adm *kadm.Client, c Config, topo *topology.Topology, log *slog.Logger) (*layout, error) {
	l := newLayout(c.App, topo)
	counts, err := awaitTopics(ctx, adm, l.external(), c.TopicWait, log)
	if err != nil {
		return nil, err
	}
	if err := l.resolve(counts); err != nil {
		return nil, err
	}
	for _, t := range topo.InternalTopics(c.App) {
		if err := ensure(ctx, adm, t, l.internalPartitions(t), c.Replication, log); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *layout) internalPartitions(t topology.InternalTopic) int32 {
	if t.Kind == topology.Repartition {
		return l.partitions[t.Name]
	}
	return l.tasks[t.Sub]
}

// awaitTopics returns the partition counts of the topics once all exist.
func awaitTopics(ctx context.Context, adm *kadm.Client, topics []string, wait time.Duration, log *slog.Logger) (map[string]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for attempt := 0; ; attempt++ {
		counts, missing, err := countPartitions(ctx, adm, topics)
		if err == nil && len(missing) == 0 {
			return counts, nil
		}
		if attempt == 0 {
			log.Debug("waiting for topics", "topics", missing, "error", err)
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%w: missing input topics %v", ErrTopics, missing)
			}
			return nil, fmt.Errorf("streams: waited %v for the input topics: %w", wait, err)
		case <-time.After(min(time.Second, 5*time.Millisecond<<min(attempt, 8))):
		}
	}
}

func countPartitions(ctx context.Context, adm *kadm.Client, topics []string) (counts map[string]int32, missing []string, err error) {
	meta, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, topics, err
	}
	counts = map[string]int32{}
	for _, t := range topics {
		d, ok := meta.Topics[t]
		if !ok || d.Err != nil || len(d.Partitions) == 0 {
			missing = append(missing, t)
			continue
		}
		counts[t] = int32(len(d.Partitions))
	}
	return counts, missing, nil
}

// ensure creates an internal topic, or checks the partitions of an existing one.
func ensure(ctx context.Context, adm *kadm.Client, t topology.InternalTopic, partitions int32, replication int16, log *slog.Logger) error {
	counts, _, err := countPartitions(ctx, adm, []string{t.Name})
	if err != nil {
		return fmt.Errorf("streams: internal topic %s: %w", t.Name, err)
	}
	if _, ok := counts[t.Name]; !ok {
		configs := map[string]*string{}
		for k, v := range t.Config {
			configs[k] = kadm.StringPtr(v)
		}
		_, err := adm.CreateTopic(ctx, partitions, replication, configs, t.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("streams: create internal topic %s: %w", t.Name, err)
		}
		if err == nil {
			log.Info("internal topic created", "topic", t.Name, "partitions", partitions)
		}
		if counts, err = awaitTopics(ctx, adm, []string{t.Name}, 30*time.Second, log); err != nil {
			return err
		}
	}
	if counts[t.Name] != partitions {
		return fmt.Errorf("%w: internal topic %s has %d partitions, the topology needs %d: the input topics were changed; reset the application or restore their partitions",
			ErrTopics, t.Name, counts[t.Name], partitions)
	}
	return nil
}
