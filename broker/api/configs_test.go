package api_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Types of resources and operations on them.
const (
	topicConfig  = kmsg.ConfigResourceTypeTopic
	brokerConfig = kmsg.ConfigResourceTypeBroker
	loggerConfig = kmsg.ConfigResourceTypeBrokerLogger

	opSet      = kmsg.IncrementalAlterConfigOpSet
	opRemove   = kmsg.IncrementalAlterConfigOpDelete
	opAppend   = kmsg.IncrementalAlterConfigOpAppend
	opSubtract = kmsg.IncrementalAlterConfigOpSubtract
)

// alter builds a request that changes one entry.
func alter(kind kmsg.ConfigResourceType, name string, op kmsg.IncrementalAlterConfigOp, key, value string) *kmsg.IncrementalAlterConfigsRequest {
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op, c.Value = key, op, &value
	if op == opRemove {
		c.Value = nil
	}
	req := at(1, kmsg.NewPtrIncrementalAlterConfigsRequest())
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{c}}}
	return req
}

// config reads one entry of a resource.
func config(t *testing.T, c *brokertest.Conn, kind kmsg.ConfigResourceType, name, key string) kmsg.DescribeConfigsResponseResourceConfig {
	t.Helper()
	req := at(4, kmsg.NewPtrDescribeConfigsRequest())
	req.IncludeSynonyms = true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: []string{key}}}
	resp := ask[*kmsg.DescribeConfigsResponse](t, c, req)
	if r := resp.Resources[0]; r.ErrorCode != 0 || len(r.Configs) != 1 {
		t.Fatalf("%s %s of %q: error %d, %d entries", name, key, kind, r.ErrorCode, len(r.Configs))
	}
	return resp.Resources[0].Configs[0]
}

func TestTopicConfigs(t *testing.T) {
	b := brokertest.Start(t, map[string]string{"log.retention.ms": "111"})
	b.CreateTopic("a", 1)
	c := b.Dial()
	for _, step := range []struct {
		op         kmsg.IncrementalAlterConfigOp
		key, value string
		want       *kerr.Error
		now        string
		source     kmsg.ConfigSource
	}{
		{opSet, "retention.ms", "5000", nil, "5000", kmsg.ConfigSourceDynamicTopicConfig},
		{opSet, "retention.ms", "soon", kerr.InvalidConfig, "5000", kmsg.ConfigSourceDynamicTopicConfig},
		{opRemove, "retention.ms", "", nil, "111", kmsg.ConfigSourceStaticBrokerConfig},
		{opAppend, "retention.ms", "1", kerr.InvalidConfig, "111", kmsg.ConfigSourceStaticBrokerConfig},
		{opAppend, "cleanup.policy", "compact", nil, "delete,compact", kmsg.ConfigSourceDynamicTopicConfig},
		{opSubtract, "cleanup.policy", "delete", nil, "compact", kmsg.ConfigSourceDynamicTopicConfig},
		{9, "cleanup.policy", "delete", kerr.InvalidRequest, "compact", kmsg.ConfigSourceDynamicTopicConfig},
	} {
		what := fmt.Sprintf("op %d %s %s", step.op, step.key, step.value)
		resp := ask[*kmsg.IncrementalAlterConfigsResponse](t, c, alter(topicConfig, "a", step.op, step.key, step.value))
		wantCode(t, what, resp.Resources[0].ErrorCode, step.want)
		ctx := brokertest.Context(t)
		got := config(t, c, topicConfig, "a", step.key)
		for *got.Value != step.now && ctx.Err() == nil { // it takes effect a moment later
			got = config(t, c, topicConfig, "a", step.key)
		}
		if *got.Value != step.now || got.Source != step.source {
			t.Errorf("%s: now %s from %v, want %s from %v", what, *got.Value, got.Source, step.now, step.source)
		}
	}
}

func TestAlterConfigsReplaces(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1, "retention.ms", "5000", "segment.bytes", "10000000")
	c := b.Dial()
	value := "6000"
	req := at(2, kmsg.NewPtrAlterConfigsRequest())
	req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: topicConfig, ResourceName: "a", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}}}
	wantCode(t, "alter", ask[*kmsg.AlterConfigsResponse](t, c, req).Resources[0].ErrorCode, nil)
	ctx := brokertest.Context(t)
	for *config(t, c, topicConfig, "a", "retention.ms").Value != "6000" {
		if ctx.Err() != nil {
			t.Fatal("the change has no effect")
		}
	}
	if got := config(t, c, topicConfig, "a", "segment.bytes"); got.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("segment.bytes still is %s from %v", *got.Value, got.Source)
	}

	// Naming a resource twice is refused, for both.
	req.Resources = append(req.Resources, req.Resources[0])
	for _, r := range ask[*kmsg.AlterConfigsResponse](t, c, req).Resources {
		wantCode(t, "named twice", r.ErrorCode, kerr.InvalidRequest)
	}
}

func TestConfigErrors(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	id := fmt.Sprint(b.ID())
	for _, tc := range []struct {
		kind kmsg.ConfigResourceType
		name string
		want *kerr.Error
	}{
		{topicConfig, "a", nil},
		{topicConfig, "x", kerr.UnknownTopicOrPartition},
		{topicConfig, "x/y", kerr.InvalidTopicException},
		{brokerConfig, id, nil},
		{brokerConfig, "", nil},
		{brokerConfig, "99", kerr.InvalidRequest},
		{brokerConfig, "one", kerr.InvalidRequest},
		{loggerConfig, id, nil},
		{loggerConfig, "", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeClientMetrics, "m", nil},
		{kmsg.ConfigResourceTypeClientMetrics, "", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeGroupConfig, "", kerr.InvalidRequest},
	} {
		req := at(4, kmsg.NewPtrDescribeConfigsRequest())
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: tc.kind, ResourceName: tc.name}}
		r := ask[*kmsg.DescribeConfigsResponse](t, c, req).Resources[0]
		wantCode(t, fmt.Sprintf("%v %q", tc.kind, tc.name), r.ErrorCode, tc.want)
		if r.ErrorMessage == nil || (*r.ErrorMessage == "") != (tc.want == nil) {
			t.Errorf("%v %q: message %v", tc.kind, tc.name, r.ErrorMessage)
		}
		if r.ResourceName != tc.name || r.ResourceType != tc.kind {
			t.Errorf("%v %q: answer for %v %q", tc.kind, tc.name, r.ResourceType, r.ResourceName)
		}
	}
	unknown := at(4, kmsg.NewPtrDescribeConfigsRequest())
	unknown.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 99, ResourceName: "x"}}
	got := ask[*kmsg.DescribeConfigsResponse](t, c, unknown).Resources
	if len(got) != 1 || len(got[0].Configs) != 0 {
		t.Fatalf("unknown type: %+v", got)
	}
	wantCode(t, "unknown type", got[0].ErrorCode, kerr.InvalidRequest)
	for _, tc := range []struct {
		what string
		req  *kmsg.IncrementalAlterConfigsRequest
		want *kerr.Error
	}{
		{"absent topic", alter(topicConfig, "x", opSet, "retention.ms", "1"), kerr.UnknownTopicOrPartition},
		{"all topics", alter(topicConfig, "", opSet, "retention.ms", "1"), kerr.InvalidRequest},
		{"another broker", alter(brokerConfig, "99", opSet, "log.retention.ms", "1"), kerr.InvalidRequest},
		{"group", alter(kmsg.ConfigResourceTypeGroupConfig, "g", opSet, "k", "1"), kerr.InvalidRequest},
		{"unknown type", alter(99, "g", opSet, "k", "1"), kerr.InvalidRequest},
	} {
		wantCode(t, tc.what, ask[*kmsg.IncrementalAlterConfigsResponse](t, c, tc.req).Resources[0].ErrorCode, tc.want)
	}
}

func TestLogLevel(t *testing.T) {
	cfg := brokertest.Config(t.TempDir(), nil)
	cfg.LogLevel = new(slog.LevelVar)
	b := brokertest.Run(t, cfg)
	c := b.Dial()
	id := fmt.Sprint(b.ID())
	if got := config(t, c, loggerConfig, id, "root"); *got.Value != "INFO" || got.Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
		t.Errorf("level %s from %v", *got.Value, got.Source)
	}
	for _, tc := range []struct {
		op         kmsg.IncrementalAlterConfigOp
		key, value string
		want       *kerr.Error
		now        string
	}{
		{opSet, "root", "DEBUG", nil, "DEBUG"},
		{opSet, "root", "LOUD", kerr.InvalidConfig, "DEBUG"},
		{opSet, "other", "INFO", kerr.InvalidConfig, "DEBUG"},
		{opRemove, "root", "", kerr.InvalidRequest, "DEBUG"},
		{opAppend, "root", "INFO", kerr.InvalidRequest, "DEBUG"},
		{opSet, "root", "WARN", nil, "WARN"},
	} {
		resp := ask[*kmsg.IncrementalAlterConfigsResponse](t, c, alter(loggerConfig, id, tc.op, tc.key, tc.value))
		wantCode(t, tc.key+" "+tc.value, resp.Resources[0].ErrorCode, tc.want)
		if got := *config(t, c, loggerConfig, id, "root").Value; got != tc.now {
			t.Errorf("%s %s: level %s, want %s", tc.key, tc.value, got, tc.now)
		}
	}
	if cfg.LogLevel.Level() != slog.LevelWarn {
		t.Errorf("the logger is at %v", cfg.LogLevel.Level())
	}
}

func TestListConfigResources(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	for _, tc := range []struct {
		version int16
		types   []int8
		want    string
		err     *kerr.Error
	}{
		{0, nil, "[]", nil},
		{1, nil, "[8 0 4 0 2 a]", nil},
		{1, []int8{2}, "[2 a]", nil},
		{1, []int8{4, 16, 32}, "[4 0]", nil},
		{1, []int8{2, 5}, "[]", kerr.UnsupportedVersion},
	} {
		req := at(tc.version, kmsg.NewPtrListConfigResourcesRequest())
		req.ResourceTypes = tc.types
		resp := ask[*kmsg.ListConfigResourcesResponse](t, c, req)
		what := fmt.Sprintf("v%d %v", tc.version, tc.types)
		wantCode(t, what, resp.ErrorCode, tc.err)
		got := []string{}
		for _, r := range resp.ConfigResources {
			got = append(got, fmt.Sprint(r.Type), r.Name)
		}
		if fmt.Sprint(got) != tc.want {
			t.Errorf("%s: %v, want %s", what, got, tc.want)
		}
	}
}
