package admin

import "time"

// Pipeline is a line of the list of running pipelines.
type Pipeline struct {
	Name    string   `json:"name" col:"PIPELINE,name"`
	State   string   `json:"state" col:"STATE"`
	Sources []string `json:"sources" col:"SOURCES"` // topics
	Sinks   []string `json:"sinks" col:"SINKS"`     // topics, and folders of files
	Lag     *int64   `json:"lag" col:"LAG"`         // null when unknown
}

// PipelineDetail is everything about one running pipeline.
type PipelineDetail struct {
	Pipeline
	Document string           `json:"document" col:"Document"`
	Topics   []PipelineTopic  `json:"topics" col:"Topics"`
	Windows  []PipelineWindow `json:"windows" col:"Windows"`
}

// PipelineTopic is a topic that a pipeline reads or writes.
type PipelineTopic struct {
	Topic string `json:"topic" col:"TOPIC,name"`
	Role  string `json:"role" col:"ROLE"` // source, sink, dead_letter
	ID    string `json:"id" col:"ID"`     // of the source or sink in the document
}

// PipelineWindow is a window that is still being filled.
type PipelineWindow struct {
	Step  string         `json:"step" col:"STEP"`
	Key   string         `json:"key" col:"KEY"`
	Start time.Time      `json:"start" col:"START"`
	Value map[string]any `json:"value" col:"VALUE"`
}

// Connector is a line of the list of running connectors.
type Connector struct {
	Connector string `json:"connector" col:"CONNECTOR,name"`
	Type      string `json:"type" col:"TYPE"`
	State     string `json:"state" col:"STATE"`
	Tasks     int    `json:"tasks" col:"TASKS"`
	Running   int    `json:"running" col:"RUNNING"`
	Failed    int    `json:"failed" col:"FAILED"`
	WorkerID  string `json:"worker_id" col:"WORKER"`
	Trace     string `json:"trace" col:"WHY,wide"`
}
