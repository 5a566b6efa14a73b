package herder

import "github.com/leatstream/leat/connect/worker"

// State of a connector or task, as Kafka Connect spells it.
type State string

// The states.
const (
	Unassigned State = "UNASSIGNED" // not started yet
	Running    State = "RUNNING"
	Paused     State = "PAUSED"
	Failed     State = "FAILED" // waits for its restart
	Restarting State = "RESTARTING"
	Stopped    State = "STOPPED" // connectors only
)

// ConnectorStatus is what GET /connectors/{name}/status answers.
type ConnectorStatus struct {
	Name      string       `json:"name"`
	Connector Status       `json:"connector"`
	Tasks     []TaskStatus `json:"tasks"`
	Type      string       `json:"type"` // "source" or "sink"
}

// Status is the state of the connector itself.
type Status struct {
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"` // why it failed last
	Version  string `json:"version,omitempty"`
}

// TaskStatus is the state of one task.
type TaskStatus struct {
	ID int `json:"id"`
	Status
	Restarts int          `json:"-"` // how often it was started again
	Stats    worker.Stats `json:"-"` // of all its runs in this process
}

// Info is what GET /connectors/{name} answers.
type Info struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"` // exactly as it was given
	Tasks  []TaskID          `json:"tasks"`
	Type   string            `json:"type"`
}

// TaskID names a task.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}
