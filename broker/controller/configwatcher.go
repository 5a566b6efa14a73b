package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
)

// configNoticeLife is how long a notice of a config change stays in the tree, so
// that brokers that were away for a moment still see it.
const configNoticeLife = 15 * time.Minute

// ConfigWatcher keeps a broker's Configs equal to the overrides in the tree,
// whoever wrote them: it reads what a notice under /config/changes names, and
// the configs of topics that come and go.
type ConfigWatcher struct {
	tree    coordination.Tree
	configs *metadata.Configs
	logger  *slog.Logger
	// Owned by Load and Run, which do not run at the same time.
	last   int64 // sequence number of the newest notice seen
	topics map[string]struct{}
}

// NewConfigWatcher builds a watcher.
func NewConfigWatcher(tree coordination.Tree, configs *metadata.Configs, logger *slog.Logger) *ConfigWatcher {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &ConfigWatcher{tree: tree, configs: configs, logger: logger, last: -1, topics: map[string]struct{}{}}
}

// Load reads all overrides once; call it before the broker serves clients. It
// can be called again after a session was lost.
func (w *ConfigWatcher) Load(ctx context.Context) error {
	names, _, err := w.tree.Children(ctx, coordination.ConfigChangesPath)
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return fmt.Errorf("controller: read config changes: %w", err)
	}
	for _, name := range names {
		if n, ok := coordination.SequenceNumber(name); ok {
			w.last = max(w.last, n)
		}
	}
	for _, name := range []string{coordination.DefaultEntity, strconv.Itoa(int(w.configs.BrokerID()))} {
		if err := w.read(ctx, coordination.ConfigBrokers, name); err != nil {
			return err
		}
	}
	topics, _, err := w.tree.Children(ctx, coordination.ConfigTypePath(coordination.ConfigTopics))
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return fmt.Errorf("controller: read topic configs: %w", err)
	}
	return w.topicsListed(ctx, topics)
}

// read makes one entity's config hold here.
func (w *ConfigWatcher) read(ctx context.Context, kind coordination.ConfigType, name string) error {
	path := coordination.ConfigEntityPath(kind, name)
	data, _, err := w.tree.Get(ctx, path)
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return fmt.Errorf("controller: read %s: %w", path, err)
	}
	config, err := coordination.DecodeConfig(data)
	if err != nil {
		w.logger.Error("config that cannot be read is ignored", "path", path, "error", err)
		return nil
	}
	if err := applyConfig(w.configs, kind, name, config); err != nil {
		w.logger.Warn("parts of a config are not valid and do not take effect", "path", path, "error", err)
	}
	return nil
}

// topicsListed reads the configs of new topics and drops those of topics that
// are gone.
func (w *ConfigWatcher) topicsListed(ctx context.Context, names []string) error {
	listed := make(map[string]struct{}, len(names))
	for _, name := range names {
		listed[name] = struct{}{}
		if _, known := w.topics[name]; known {
			continue
		}
		if err := w.read(ctx, coordination.ConfigTopics, name); err != nil {
			return err
		}
	}
	for name := range w.topics {
		if _, still := listed[name]; !still {
			_ = w.configs.SetTopic(name, nil) // removing cannot be invalid
		}
	}
	w.topics = listed
	return nil
}

// Run applies changes until the context ends (nil) or the session does.
func (w *ConfigWatcher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.round(ctx)
		if ctx.Err() != nil {
			break
		}
		if ended := w.tree.Session().Err(); ended != nil {
			return fmt.Errorf("controller: config watcher: %w", ended)
		}
		if err != nil {
			w.logger.Warn("reading config changes failed, trying again", "error", err)
			sleep(ctx, time.Second)
		}
	}
	return nil
}

// round sets both watches, reads what is new, and waits for one of them.
func (w *ConfigWatcher) round(ctx context.Context) error {
	changes, changed, err := w.watch(ctx, coordination.ConfigChangesPath)
	if err != nil {
		return err
	}
	topics, topicsChanged, err := w.watch(ctx, coordination.ConfigTypePath(coordination.ConfigTopics))
	if err != nil {
		return err
	}
	for {
		if err := w.readChanges(ctx, changes); err != nil {
			return err
		}
		if err := w.topicsListed(ctx, topics); err != nil {
			return err
		}
		select {
		case <-changed:
			changes, changed, err = w.watch(ctx, coordination.ConfigChangesPath)
		case <-topicsChanged:
			topics, topicsChanged, err = w.watch(ctx, coordination.ConfigTypePath(coordination.ConfigTopics))
		case <-w.tree.Session().Done():
			return w.tree.Session().Err()
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *ConfigWatcher) watch(ctx context.Context, path string) ([]string, <-chan coordination.Event, error) {
	if err := ensure(ctx, w.tree, path); err != nil {
		return nil, nil, err
	}
	names, _, watch, err := w.tree.ChildrenW(ctx, path)
	return names, watch, err
}

// readChanges follows the notices that are newer than the last one seen, and
// removes those that are old.
func (w *ConfigWatcher) readChanges(ctx context.Context, names []string) error {
	now := time.Now()
	for _, name := range names {
		path := coordination.ConfigChangesPath + "/" + name
		n, ok := coordination.SequenceNumber(name)
		data, stat, err := w.tree.Get(ctx, path)
		if errors.Is(err, coordination.ErrNoNode) {
			continue // another broker removed it
		}
		if err != nil {
			return err
		}
		if ok && n > w.last {
			if err := w.follow(ctx, data); err != nil {
				return err
			}
			w.last = n
		}
		if now.Sub(time.UnixMilli(stat.Ctime)) > configNoticeLife {
			if err := w.tree.Delete(ctx, path, coordination.AnyVersion); err != nil && !errors.Is(err, coordination.ErrNoNode) {
				return err
			}
		}
	}
	return nil
}

func (w *ConfigWatcher) follow(ctx context.Context, notice []byte) error {
	kind, name, err := coordination.DecodeConfigChange(notice)
	if err != nil {
		w.logger.Warn("notice of a config change that cannot be read", "error", err)
		return nil
	}
	if kind != coordination.ConfigTopics && kind != coordination.ConfigBrokers {
		return nil
	}
	return w.read(ctx, kind, name)
}
