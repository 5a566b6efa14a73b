package metadata

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// DefaultBroker is the resource name of the configs that hold for all brokers.
const DefaultBroker = ""

// Configs puts the layers of configuration together. For a broker key, the
// strongest first: the override for this broker, the override for all brokers,
// the broker's own properties, the default. A topic key is overridden per topic;
// otherwise the broker key that is its synonym gives its value.
//
// All methods may be called concurrently. Overrides that are not valid are kept
// out of the effective values, so that a bad node in the tree stops nobody.
type Configs struct {
	brokerID int32
	brokers  *Table
	topics   *Table

	typed atomic.Pointer[BrokerConfig]

	mu         sync.RWMutex
	static     map[string]string
	forAll     map[string]string            // dynamic, for all brokers
	forThis    map[string]string            // dynamic, for this broker
	overrides  map[string]map[string]string // by topic
	resolved   map[string]*TopicConfig      // by topic; dropped when a layer changes
	noOverride *TopicConfig                 // of topics without overrides; nil: not built

	listenMu        sync.Mutex
	topicListeners  []func(topic string)
	brokerListeners []func(*BrokerConfig)
}

// NewConfigs checks the broker's properties and returns the resolved layers.
// Unknown keys are no error: Unknown lists them.
func NewConfigs(brokerID int32, properties map[string]string) (*Configs, error) {
	c := &Configs{
		brokerID:  brokerID,
		brokers:   BrokerTable(),
		topics:    TopicTable(),
		static:    withIDs(properties),
		overrides: make(map[string]map[string]string),
		resolved:  make(map[string]*TopicConfig),
	}
	for _, name := range slices.Sorted(maps.Keys(c.static)) {
		if err := c.checkBroker(name, c.static[name]); err != nil {
			return nil, err
		}
	}
	typed, err := c.buildBroker()
	if err != nil {
		return nil, err
	}
	c.typed.Store(typed)
	return c, nil
}

// withIDs copies properties; broker.id and node.id stand for each other.
func withIDs(properties map[string]string) map[string]string {
	static := maps.Clone(properties)
	if static == nil {
		static = make(map[string]string)
	}
	if id, ok := static["broker.id"]; ok {
		if _, both := static["node.id"]; !both {
			static["node.id"] = id
		}
	} else if id, ok := static["node.id"]; ok {
		static["broker.id"] = id
	}
	return static
}

// checkBroker validates the value of one broker key. Keys that are not known are
// taken as they are.
func (c *Configs) checkBroker(name, text string) error {
	k := c.brokerKey(name)
	if k == nil {
		return nil
	}
	_, err := k.parse(text)
	return err
}

// brokerKey finds the key of a name, also behind a listener's prefix.
func (c *Configs) brokerKey(name string) *Key {
	if k, ok := c.brokers.Key(name); ok {
		return k
	}
	names := synonyms(name)
	k, _ := c.brokers.Key(names[len(names)-1])
	return k
}

// UnknownKey is a property that no key has the name of.
type UnknownKey struct {
	Name    string
	Nearest string // a known key that is much like it, or ""
}

// Unknown lists the properties that are not known, in ascending order.
func (c *Configs) Unknown() []UnknownKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []UnknownKey
	for _, name := range slices.Sorted(maps.Keys(c.static)) {
		if c.brokerKey(name) == nil {
			out = append(out, UnknownKey{name, c.brokers.Nearest(name)})
		}
	}
	return out
}

// BrokerID is this broker's id.
func (c *Configs) BrokerID() int32 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.brokerID
}

// SetBrokerID sets this broker's id once it is known, if it was generated.
func (c *Configs) SetBrokerID(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brokerID = id
	text := strconv.Itoa(int(id))
	c.static = maps.Clone(c.static)
	c.static["broker.id"], c.static["node.id"] = text, text
	if typed, err := c.buildBroker(); err == nil {
		c.typed.Store(typed)
	}
}

// Broker is the effective configuration of this broker.
func (c *Configs) Broker() *BrokerConfig { return c.typed.Load() }

// Topic is the effective configuration of a topic; for a topic that is not
// known, of a new topic without overrides.
func (c *Configs) Topic(name string) *TopicConfig {
	c.mu.RLock()
	t := c.noOverride
	if _, has := c.overrides[name]; has {
		t = c.resolved[name]
	}
	c.mu.RUnlock()
	if t != nil {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	overrides, has := c.overrides[name]
	t = c.buildTopic(overrides)
	if has {
		c.resolved[name] = t
	} else {
		c.noOverride = t
	}
	return t
}

// NewTopic is the effective configuration that a topic with these overrides
// would have. It refuses unknown keys and values that are not valid.
func (c *Configs) NewTopic(overrides map[string]string) (*TopicConfig, error) {
	if err := c.ValidateTopic(overrides); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.buildTopic(overrides), nil
}

// TopicOverrides are the overrides of a topic; not to be changed.
func (c *Configs) TopicOverrides(name string) map[string]string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.overrides[name]
}

// SetTopic replaces the overrides of a topic; nil removes them. Overrides that
// are not valid do not take effect; the error lists them.
func (c *Configs) SetTopic(name string, overrides map[string]string) error {
	valid, err := c.validOnly(overrides, func(k, v string) error {
		return c.ValidateTopic(map[string]string{k: v})
	})
	c.mu.Lock()
	if maps.Equal(c.overrides[name], valid) && (valid == nil) == (c.overrides[name] == nil) {
		c.mu.Unlock()
		return err
	}
	delete(c.resolved, name)
	if len(valid) == 0 {
		delete(c.overrides, name)
	} else {
		c.overrides[name] = valid
	}
	c.mu.Unlock()
	c.tellTopic(name)
	return err
}

// SetBrokerOverrides replaces the dynamic overrides of this broker, or with
// all of every broker. Overrides that are not valid do not take effect; the
// error lists them.
func (c *Configs) SetBrokerOverrides(all bool, overrides map[string]string) error {
	valid, err := c.validOnly(overrides, func(k, v string) error {
		return c.ValidateBroker(map[string]string{k: v}, all)
	})
	c.mu.Lock()
	layer := &c.forThis
	if all {
		layer = &c.forAll
	}
	old := *layer
	*layer = valid
	typed, buildErr := c.buildBroker()
	if buildErr != nil { // e.g. listeners that fit their type but cannot be parsed
		*layer = old
		c.mu.Unlock()
		return errors.Join(err, buildErr)
	}
	c.typed.Store(typed)
	c.noOverride = nil
	clear(c.resolved)
	c.mu.Unlock()
	c.tellBroker(typed)
	c.tellTopic("")
	return err
}

func (c *Configs) validOnly(in map[string]string, check func(k, v string) error) (map[string]string, error) {
	if len(in) == 0 {
		return nil, nil
	}
	valid := make(map[string]string, len(in))
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if err := check(k, in[k]); err != nil {
			errs = append(errs, err)
			continue
		}
		valid[k] = in[k]
	}
	return valid, errors.Join(errs...)
}

// OnTopicChange registers a callback for a topic whose effective configuration
// may have changed. The name is empty when all topics may have changed.
func (c *Configs) OnTopicChange(fn func(topic string)) {
	c.listenMu.Lock()
	defer c.listenMu.Unlock()
	c.topicListeners = append(c.topicListeners, fn)
}

// OnBrokerChange registers a callback for a changed BrokerConfig.
func (c *Configs) OnBrokerChange(fn func(*BrokerConfig)) {
	c.listenMu.Lock()
	defer c.listenMu.Unlock()
	c.brokerListeners = append(c.brokerListeners, fn)
}

func (c *Configs) tellTopic(name string) {
	c.listenMu.Lock()
	listeners := slices.Clone(c.topicListeners)
	c.listenMu.Unlock()
	for _, fn := range listeners {
		fn(name)
	}
}

func (c *Configs) tellBroker(b *BrokerConfig) {
	c.listenMu.Lock()
	listeners := slices.Clone(c.brokerListeners)
	c.listenMu.Unlock()
	for _, fn := range listeners {
		fn(b)
	}
}

// effective is the value of a broker key by the layers. c.mu is held, or c is not
// shared yet.
func (c *Configs) effective(name string) value {
	k := c.brokers.byName[name]
	for _, layer := range []map[string]string{c.forThis, c.forAll, c.static} {
		if text, ok := layer[name]; ok {
			if v, err := k.parse(text); err == nil {
				return v
			}
		}
	}
	return k.defaultValue()
}

// defaultValue is the parsed default. The tables are tested to hold valid ones.
func (k *Key) defaultValue() value {
	if k.Default == nil {
		return value{null: true}
	}
	v, _ := parseType(k.Type, *k.Default)
	return v
}
