package transform

import "github.com/leatstream/leat/connect/config"

// noConfig is embedded by plugins without settings.
type noConfig struct{}

// Config implements connect.Transform and connect.Predicate.
func (noConfig) Config() *config.Def { return config.New() }

// Configure implements connect.Transform and connect.Predicate.
func (noConfig) Configure(map[string]string) error { return nil }
