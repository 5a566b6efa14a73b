package admin

import (
	"context"
	"errors"
	"time"
)

// ErrTrialBusy is returned while another action of a trial is under way.
var ErrTrialBusy = errors.New("another trial is under way")

// Trial breaks parts of a running system on demand, and tells whether its
// results are the same in spite of that. Its methods may be called at the same
// time.
type Trial interface {
	Actions() []TrialAction
	// Start begins an action and returns at once: ErrNotFound where there is
	// none of that name, ErrTrialBusy while one is under way.
	Start(name string) error
	State() TrialState
	// Windows compares what came in with what was counted, the newest window
	// first. It costs some reading.
	Windows(ctx context.Context) ([]TrialWindow, error)
}

// TrialAction is something that can be broken.
type TrialAction struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Text  string `json:"text"` // what happens
}

// TrialState is what goes on.
type TrialState struct {
	Busy bool   `json:"busy"`
	Text string `json:"text"`
}

// TrialWindow is a window of time that has passed.
type TrialWindow struct {
	Start   time.Time `json:"start"`
	In      int64     `json:"records_in"`
	Counted int64     `json:"counted"`
}
