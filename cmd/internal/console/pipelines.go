package console

import (
	"errors"
	"fmt"
	"slices"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/pipelines"
)

// maxWindows bounds the open windows that are shown of a pipeline.
const maxWindows = 50

var errNoPipeline = errors.New("no such pipeline")

// pipelineRows are the lines of the list.
func pipelineRows(list []Pipeline, groups []admin.Group) []admin.Pipeline {
	rows := []admin.Pipeline{}
	for _, p := range list {
		plan := p.App.Plan()
		row := admin.Pipeline{Name: plan.Name, State: p.App.State(), Sources: []string{}, Sinks: []string{}}
		for _, t := range plan.Topics {
			switch t.Role {
			case pipelines.RoleSource:
				row.Sources = append(row.Sources, t.Name)
			case pipelines.RoleSink:
				row.Sinks = append(row.Sinks, t.Name)
			}
		}
		for _, props := range plan.Connectors {
			row.Sinks = append(row.Sinks, props["connector.class"]+":"+props["path"])
		}
		if i := slices.IndexFunc(groups, func(g admin.Group) bool { return g.Group == plan.Name }); i >= 0 {
			row.Lag = groups[i].Lag
		}
		rows = append(rows, row)
	}
	return rows
}

// pipeline finds a pipeline by name.
func (c *Console) pipeline(name string) (Pipeline, error) {
	for _, p := range c.cfg.Pipelines {
		if p.App.Plan().Name == name {
			return p, nil
		}
	}
	return Pipeline{}, fmt.Errorf("%s: %w", name, errNoPipeline)
}

func (c *Console) describePipeline(name string) (admin.PipelineDetail, error) {
	p, err := c.pipeline(name)
	if err != nil {
		return admin.PipelineDetail{}, err
	}
	snap, _ := c.sampler.snapshot()
	d := admin.PipelineDetail{
		Pipeline: pipelineRows([]Pipeline{p}, snap.groups)[0], Document: p.Text,
		Topics: []admin.PipelineTopic{}, Windows: []admin.PipelineWindow{},
	}
	for _, t := range p.App.Plan().Topics {
		d.Topics = append(d.Topics, admin.PipelineTopic{Topic: t.Name, Role: string(t.Role), ID: t.ID})
	}
	for _, store := range p.App.Plan().Stores {
		// A store that is closed at the moment has no windows to show.
		_ = p.App.Windows(store.Name, func(w pipelines.OpenWindow) bool {
			d.Windows = append(d.Windows, admin.PipelineWindow{Step: w.Step, Key: w.Key, Start: w.Start, Value: w.Value})
			return len(d.Windows) < maxWindows
		})
	}
	return d, nil
}
