package console

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/leatstream/leat/cmd/internal/admin"
)

var errNoTrial = errors.New("nothing can be broken here")

// Trial is the state of a trial with what came of it.
type Trial struct {
	State   admin.TrialState    `json:"state"`
	Actions []admin.TrialAction `json:"actions"`
	Windows []admin.TrialWindow `json:"windows"`
	// Problem is why there are no windows.
	Problem string `json:"problem,omitempty"`
}

// describeTrial asks for all of it. While the cluster is down, the windows
// cannot be read; the rest still holds.
func (c *Console) describeTrial(r *http.Request) (Trial, error) {
	if c.cfg.Trial == nil {
		return Trial{}, fmt.Errorf("trial: %w", errNoTrial)
	}
	t := Trial{State: c.cfg.Trial.State(), Actions: c.cfg.Trial.Actions(), Windows: []admin.TrialWindow{}}
	windows, err := c.cfg.Trial.Windows(r.Context())
	if err != nil {
		t.Problem = err.Error()
	}
	t.Windows = append(t.Windows, windows...)
	return t, nil
}

// startTrial begins the action that the path names.
func (c *Console) startTrial(r *http.Request) error {
	if c.cfg.Trial == nil {
		return fmt.Errorf("trial: %w", errNoTrial)
	}
	return c.cfg.Trial.Start(r.PathValue("action"))
}

// trialPage is the card of the overview as a page.
func (c *Console) trialPage(r *http.Request, p *page) error {
	p.Title, p.Active, p.CLI, p.API = "Break it", "overview", c.command("group", "list", "--lag"), "/api/v1/trial"
	t, err := c.describeTrial(r)
	p.Data = t
	return err
}

// breakPage begins an action and shows the card.
func (c *Console) breakPage(r *http.Request, p *page) error {
	if err := c.startTrial(r); err != nil && !errors.Is(err, admin.ErrTrialBusy) {
		return err
	}
	return c.trialPage(r, p)
}
