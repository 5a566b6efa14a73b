package connecttest

import (
	"log/slog"
	"testing"

	"github.com/leatstream/leat/connect"
)

// connectorContext implements connect.ConnectorContext.
type connectorContext struct{ taskContext }

func (connectorContext) Name() string           { return "test" }
func (c connectorContext) Logger() *slog.Logger { return c.log }
func (connectorContext) Reconfigure()           {}
func (c connectorContext) Fail(err error)       { c.log.Error("connector failed", "error", err) }

// checkPlugin checks what a plugin says of itself.
func checkPlugin(t *testing.T, p connect.Plugin, props map[string]string) {
	if p.Name == "" || p.Version == "" || p.Doc == "" {
		t.Errorf("name, version and doc must be set: %+v", p)
	}
	if (p.Source == nil) == (p.Sink == nil) {
		t.Error("exactly one of source and sink must be set")
	}
	def := p.Config()
	for _, k := range def.Keys() {
		if k.Doc == "" {
			t.Errorf("setting %s has no documentation", k.Name)
		}
		if k.Required && k.Default != nil {
			t.Errorf("setting %s is required and has a default", k.Name)
		}
		if k.Check != nil && k.Default != nil {
			if err := k.Check(k.Default); err != nil {
				t.Errorf("default of %s does not pass its own check: %v", k.Name, err)
			}
		}
	}
	if _, err := def.Parse(props); err != nil {
		t.Errorf("the test's own properties: %v", err)
	}
}
