package demo

import (
	"errors"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The topics that the sources write, and the pipeline whose events add up.
const (
	topicActivity    = "activity"
	topicMetrics     = "host-metrics"
	topicAccess      = "access-log"
	activityPipeline = "activity-per-minute"
)

// sourceProperties are the demo's connectors.
func sourceProperties(rate int, accessLog string) []map[string]string {
	return []map[string]string{
		{"name": "activity", "connector.class": "activity", "topic": topicActivity, "rate": strconv.Itoa(rate)},
		{"name": "hostmetrics", "connector.class": "hostmetrics", "topic": topicMetrics, "interval.ms": "1000"},
		{"name": "access-log", "connector.class": "file", "topic": topicAccess, "path": accessLog, "value.converter": "string"},
	}
}

func exists(err error) bool { return errors.Is(err, kerr.TopicAlreadyExists) }
