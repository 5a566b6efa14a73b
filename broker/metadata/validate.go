package metadata

import (
	"maps"
	"slices"
	"strings"
)

// ValidateBroker checks dynamic overrides of this broker, or with all of every
// broker. Names that are no key are taken: they belong to plug-ins.
func (c *Configs) ValidateBroker(overrides map[string]string, all bool) error {
	var fixed, perListener, single []string
	names := slices.Sorted(maps.Keys(overrides))
	for _, name := range names {
		k := c.brokerKey(name)
		base, prefixed := listenerKey(name)
		switch {
		case k == nil:
		case prefixed:
			if all && !clusterWideListenerKey(base) {
				single = append(single, name)
			}
		case k.Scope == ReadOnly:
			fixed = append(fixed, name)
		case strings.HasPrefix(name, "ssl."):
			perListener = append(perListener, name)
		case all && k.Scope == PerBroker:
			single = append(single, name)
		}
	}
	switch {
	case len(fixed) > 0:
		return invalidf("Cannot update these configs dynamically: Set(%s)", strings.Join(fixed, ", "))
	case len(perListener) > 0:
		return invalidf("These security configs can be dynamically updated only per-listener using the listener prefix: Set(%s)", strings.Join(perListener, ", "))
	case len(single) > 0:
		return invalidf("Cannot update these configs at default cluster level, broker id must be specified: Set(%s)", strings.Join(single, ", "))
	}
	for _, name := range names {
		if err := c.checkBroker(name, overrides[name]); err != nil {
			return err
		}
	}
	return nil
}

// clusterWideListenerKey tells whether a listener's key may be set for all
// brokers.
func clusterWideListenerKey(base string) bool {
	return base == "max.connections" || base == "max.connection.creation.rate" || base == "num.network.threads"
}

// TopicKey finds a topic key.
func (c *Configs) TopicKey(name string) (*Key, bool) { return c.topics.Key(name) }

// BrokerKey finds a broker key, also behind a listener's prefix.
func (c *Configs) BrokerKey(name string) (*Key, bool) {
	k := c.brokerKey(name)
	return k, k != nil
}
