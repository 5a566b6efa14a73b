package metadata

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The error codes of DescribeConfigs.
const (
	codeUnknownTopic   int16 = 3
	codeInvalidTopic   int16 = 17
	codeInvalidRequest int16 = 42
)

// Describe answers one resource of a DescribeConfigs request. Topics must be in
// the image; brokers must be this one or DefaultBroker. Other resource types get
// INVALID_REQUEST.
func (c *Configs) Describe(_ context.Context, image *Image, r *kmsg.DescribeConfigsRequestResource, withSynonyms, withDocs bool) kmsg.DescribeConfigsResponseResource {
	out := kmsg.NewDescribeConfigsResponseResource()
	out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
	out.ErrorMessage = kmsg.StringPtr("")
	fail := func(code int16, message *string) kmsg.DescribeConfigsResponseResource {
		out.ErrorCode, out.ErrorMessage = code, message
		return out
	}
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if problem := ValidateTopicName(r.ResourceName); problem != "" {
			return fail(codeInvalidTopic, &problem)
		}
		if _, ok := image.Topic(r.ResourceName); !ok {
			return fail(codeUnknownTopic, kmsg.StringPtr(""))
		}
		out.Configs = c.DescribeTopic(c.TopicOverrides(r.ResourceName), withSynonyms, withDocs)
	case kmsg.ConfigResourceTypeBroker:
		if problem := c.checkBrokerName(r.ResourceName); problem != "" {
			return fail(codeInvalidRequest, &problem)
		}
		out.Configs = c.describeBroker(r.ResourceName == DefaultBroker, withSynonyms, withDocs)
	default:
		problem := fmt.Sprintf("Unsupported resource type: %d", r.ResourceType)
		return fail(codeInvalidRequest, &problem)
	}
	if len(r.ConfigNames) > 0 {
		out.Configs = slices.DeleteFunc(out.Configs, func(e kmsg.DescribeConfigsResponseResourceConfig) bool {
			return !slices.Contains(r.ConfigNames, e.Name)
		})
	}
	return out
}

func (c *Configs) checkBrokerName(name string) string {
	if name == DefaultBroker {
		return ""
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return "Broker id must be an integer, but it is: " + name
	}
	if own := c.BrokerID(); int32(id) != own {
		return fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %s", own, name)
	}
	return ""
}

// DescribeTopic lists the configs of a topic with these overrides, ascending by
// name.
func (c *Configs) DescribeTopic(overrides map[string]string, withSynonyms, withDocs bool) []kmsg.DescribeConfigsResponseResourceConfig {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(c.topics.keys))
	for i := range c.topics.keys {
		k := &c.topics.keys[i]
		text := c.topicValue(k.Name, overrides).text(k.Type)
		var sources []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
		if _, ok := overrides[k.Name]; ok {
			sources = append(sources, source(k, k.Name, text, kmsg.ConfigSourceDynamicTopicConfig))
		}
		if k.Synonym != "" {
			sources = append(sources, c.sources(c.brokers.byName[k.Synonym], k.Synonym)...)
		}
		out = append(out, entry(k, k.Name, &text, sources, withSynonyms, withDocs))
	}
	return out
}

// describeBroker lists the configs of this broker, or only the overrides that
// hold for all brokers.
func (c *Configs) describeBroker(onlyForAll, withSynonyms, withDocs bool) []kmsg.DescribeConfigsResponseResourceConfig {
	c.mu.RLock()
	defer c.mu.RUnlock()
	names := make(map[string]struct{})
	for name := range c.forAll {
		names[name] = struct{}{}
	}
	if !onlyForAll {
		for _, layer := range []map[string]string{c.static, c.forThis} {
			for name := range layer {
				names[name] = struct{}{}
			}
		}
		for name, k := range c.brokers.byName {
			if !k.OnlySet {
				names[name] = struct{}{}
			}
		}
	}
	out := make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, c.brokerEntry(name, onlyForAll, withSynonyms, withDocs))
	}
	return out
}

// brokerEntry describes one broker key. A key that is not known may hold a
// secret, so its value is not shown.
func (c *Configs) brokerEntry(name string, onlyForAll, withSynonyms, withDocs bool) kmsg.DescribeConfigsResponseResourceConfig {
	k := c.brokerKey(name)
	if k == nil {
		k = &Key{Name: name, Type: Password}
		e := entry(k, name, nil, c.sources(k, name), withSynonyms, withDocs)
		e.ConfigType, e.ReadOnly, e.Documentation = kmsg.ConfigTypeUnknown, true, nil
		return e
	}
	sources := c.sources(k, name)
	if onlyForAll {
		sources = slices.DeleteFunc(sources, func(s kmsg.DescribeConfigsResponseResourceConfigConfigSynonym) bool {
			return s.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig
		})
	}
	text := c.brokerText(k, name, onlyForAll)
	e := entry(k, name, text, sources, withSynonyms, withDocs)
	e.ReadOnly = k.Scope == ReadOnly || name != k.Name
	return e
}

// brokerText is the value shown for a broker key; nil for null.
func (c *Configs) brokerText(k *Key, name string, onlyForAll bool) *string {
	if onlyForAll {
		text := c.forAll[name]
		return &text
	}
	if name != k.Name { // behind a listener's prefix
		for _, layer := range []map[string]string{c.forThis, c.forAll, c.static} {
			if text, ok := layer[name]; ok {
				return &text
			}
		}
		return nil
	}
	v := c.effective(name)
	if v.null {
		return nil
	}
	text := v.text(k.Type)
	return &text
}

// sources lists where the value of a broker key may come from, the strongest
// first: layer by layer, in each its synonyms in order. What stands before the
// first entry of the key's own name is left out, as Kafka does.
func (c *Configs) sources(k *Key, name string) []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	var out []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
	names := synonyms(name)
	for _, layer := range []struct {
		values map[string]string
		source kmsg.ConfigSource
	}{
		{c.forThis, kmsg.ConfigSourceDynamicBrokerConfig},
		{c.forAll, kmsg.ConfigSourceDynamicDefaultBrokerConfig},
		{c.static, kmsg.ConfigSourceStaticBrokerConfig},
	} {
		for _, n := range names {
			if text, ok := layer.values[n]; ok {
				out = append(out, source(k, n, text, layer.source))
			}
		}
	}
	for _, n := range names {
		if other, ok := c.brokers.Key(n); ok && other.Default != nil {
			out = append(out, source(k, n, *other.Default, kmsg.ConfigSourceDefaultConfig))
		}
	}
	first := slices.IndexFunc(out, func(s kmsg.DescribeConfigsResponseResourceConfigConfigSynonym) bool { return s.Name == name })
	if first < 0 {
		return nil
	}
	return out[first:]
}

func source(k *Key, name, text string, from kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Source = name, from
	if !k.Sensitive() {
		s.Value = &text
	}
	return s
}

func entry(k *Key, name string, text *string, sources []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym, withSynonyms, withDocs bool) kmsg.DescribeConfigsResponseResourceConfig {
	e := kmsg.NewDescribeConfigsResponseResourceConfig()
	e.Name, e.ConfigType, e.IsSensitive = name, kmsg.ConfigType(k.Type), k.Sensitive()
	if !e.IsSensitive {
		e.Value = text
	}
	e.Source = kmsg.ConfigSourceDefaultConfig
	if len(sources) > 0 {
		e.Source = sources[0].Source
	}
	e.IsDefault = e.Source == kmsg.ConfigSourceDefaultConfig
	if withSynonyms {
		e.ConfigSynonyms = sources
	}
	if withDocs {
		e.Documentation = kmsg.StringPtr(k.Doc)
	}
	return e
}

// MaxTopicName is the length of the longest topic name.
const MaxTopicName = 249

// ValidateTopicName returns what is wrong with a topic's name, or "".
func ValidateTopicName(name string) string {
	switch {
	case name == "":
		return "Topic name is invalid: the empty string is not allowed"
	case name == ".":
		return "Topic name is invalid: '.' is not allowed"
	case name == "..":
		return "Topic name is invalid: '..' is not allowed"
	case len(name) > MaxTopicName:
		return fmt.Sprintf("Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, MaxTopicName)
	case strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}):
		return fmt.Sprintf("Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	}
	return ""
}
