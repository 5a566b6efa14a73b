package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterConfigs replaces the configs of topics and brokers: what is not named
// falls back to its default.
func (a *Admin) AlterConfigs(ctx context.Context, resources []kmsg.AlterConfigsRequestResource, validateOnly bool) []kmsg.AlterConfigsResponseResource {
	ids := make([]resourceID, len(resources))
	for i, r := range resources {
		ids[i] = resourceID{r.ResourceType, r.ResourceName}
	}
	out := make([]kmsg.AlterConfigsResponseResource, len(resources))
	for i, r := range resources {
		ops := make([]configOp, len(r.Configs))
		for j, c := range r.Configs {
			ops[j] = configOp{name: c.Name, op: kmsg.IncrementalAlterConfigOpSet, value: c.Value}
		}
		out[i] = kmsg.NewAlterConfigsResponseResource()
		out[i].ResourceType, out[i].ResourceName = r.ResourceType, r.ResourceName
		if refusal := a.alter(ctx, ids, i, ops, true, validateOnly); refusal != nil {
			out[i].ErrorCode, out[i].ErrorMessage = refusal.code, &refusal.message
		}
	}
	return out
}

// IncrementalAlterConfigs changes single configs of topics and brokers.
func (a *Admin) IncrementalAlterConfigs(ctx context.Context, resources []kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) []kmsg.IncrementalAlterConfigsResponseResource {
	ids := make([]resourceID, len(resources))
	for i, r := range resources {
		ids[i] = resourceID{r.ResourceType, r.ResourceName}
	}
	out := make([]kmsg.IncrementalAlterConfigsResponseResource, len(resources))
	for i, r := range resources {
		ops := make([]configOp, len(r.Configs))
		for j, c := range r.Configs {
			ops[j] = configOp{name: c.Name, op: c.Op, value: c.Value}
		}
		out[i] = kmsg.NewIncrementalAlterConfigsResponseResource()
		out[i].ResourceType, out[i].ResourceName = r.ResourceType, r.ResourceName
		if refusal := a.alter(ctx, ids, i, ops, false, validateOnly); refusal != nil {
			out[i].ErrorCode, out[i].ErrorMessage = refusal.code, &refusal.message
		}
	}
	return out
}

// resourceID names what a config belongs to.
type resourceID struct {
	kind kmsg.ConfigResourceType
	name string
}

// String is how Kafka names a resource in messages.
func (r resourceID) String() string {
	kind := "UNKNOWN"
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		kind = "TOPIC"
	case kmsg.ConfigResourceTypeBroker:
		kind = "BROKER"
	case kmsg.ConfigResourceTypeBrokerLogger:
		kind = "BROKER_LOGGER"
	case kmsg.ConfigResourceTypeClientMetrics:
		kind = "CLIENT_METRICS"
	case kmsg.ConfigResourceTypeGroupConfig:
		kind = "GROUP"
	}
	return fmt.Sprintf("ConfigResource(type=%s, name='%s')", kind, r.name)
}

// configOp is one change of one key.
type configOp struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// alter checks and carries out the changes of resource number i. With replace
// they are all there is afterwards.
func (a *Admin) alter(ctx context.Context, ids []resourceID, i int, ops []configOp, replace, validateOnly bool) *adminError {
	id := ids[i]
	if refusal := checkOps(ids, i, ops); refusal != nil {
		return refusal
	}
	entity, refusal := a.entityOf(id)
	if refusal != nil {
		return refusal
	}
	a.configMu.Lock()
	defer a.configMu.Unlock()
	for range maxRetries {
		current, version, err := a.readConfig(ctx, entity)
		if err != nil {
			return a.failure("Altering the config of", id.name, err)
		}
		next := map[string]string{}
		if !replace {
			next = maps.Clone(current)
		}
		if refusal := a.applyOps(id, next, ops); refusal != nil {
			return refusal
		}
		if refusal := a.checkConfig(id, next); refusal != nil || validateOnly {
			return refusal
		}
		err = a.writeConfig(ctx, entity, next, version)
		if err == nil {
			a.applyLocally(entity, next)
			return nil
		}
		if !errors.Is(err, coordination.ErrBadVersion) && !errors.Is(err, coordination.ErrNodeExists) && !errors.Is(err, coordination.ErrNoNode) {
			return a.failure("Altering the config of", id.name, err)
		}
	}
	return a.failure("Altering the config of", id.name, errors.New("too many writers"))
}

// checkOps refuses requests that are contradictory in themselves.
func checkOps(ids []resourceID, i int, ops []configOp) *adminError {
	for j, other := range ids {
		if j != i && other == ids[i] {
			return adminErrorf(errInvalidRequest, "Each resource must appear at most once.")
		}
	}
	seen := make(map[string]struct{}, len(ops))
	var nulls []string
	for _, op := range ops {
		if _, twice := seen[op.name]; twice {
			return adminErrorf(errInvalidRequest, "Error due to duplicate config keys")
		}
		seen[op.name] = struct{}{}
		if op.value == nil && op.op != kmsg.IncrementalAlterConfigOpDelete {
			nulls = append(nulls, op.name)
		}
	}
	if len(nulls) > 0 {
		return adminErrorf(errInvalidRequest, "Null value not supported for : %s", strings.Join(nulls, ", "))
	}
	return nil
}

// entity is the node of a config.
type entity struct {
	kind coordination.ConfigType
	name string
}

// entityOf checks a resource's name and finds the node of its config.
func (a *Admin) entityOf(id resourceID) (entity, *adminError) {
	switch id.kind {
	case kmsg.ConfigResourceTypeTopic:
		if id.name == "" {
			return entity{}, adminErrorf(errInvalidRequest, "Default topic resources are not allowed.")
		}
		if _, ok := a.cfg.Cache.Load().Topic(id.name); !ok {
			return entity{}, adminErrorf(errUnknownTopicOrPartition, "The topic '%s' does not exist.", id.name)
		}
		return entity{coordination.ConfigTopics, id.name}, nil
	case kmsg.ConfigResourceTypeBroker:
		if id.name == metadata.DefaultBroker {
			return entity{coordination.ConfigBrokers, coordination.DefaultEntity}, nil
		}
		n, err := strconv.ParseInt(id.name, 10, 32)
		if err != nil {
			return entity{}, adminErrorf(errInvalidRequest, "Node id must be an integer, but it is: %s", id.name)
		}
		if int32(n) != a.cfg.BrokerID {
			return entity{}, adminErrorf(errInvalidRequest, "Unexpected broker id, expected %d, but received %s", a.cfg.BrokerID, id.name)
		}
		return entity{coordination.ConfigBrokers, strconv.Itoa(int(n))}, nil
	case kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		return entity{}, adminErrorf(errInvalidRequest, "AlterConfigs is only supported for topics and brokers, but resource type is %s", strings.TrimSuffix(strings.TrimPrefix(id.String(), "ConfigResource(type="), fmt.Sprintf(", name='%s')", id.name)))
	default:
		return entity{}, adminErrorf(errInvalidRequest, "Unknown resource type %d", id.kind)
	}
}

// readConfig reads a config; version is -1 when there is no node.
func (a *Admin) readConfig(ctx context.Context, e entity) (map[string]string, int32, error) {
	data, stat, err := a.cfg.Tree.Get(ctx, coordination.ConfigEntityPath(e.kind, e.name))
	if errors.Is(err, coordination.ErrNoNode) {
		return map[string]string{}, -1, nil
	}
	if err != nil {
		return nil, 0, err
	}
	config, err := coordination.DecodeConfig(data)
	return config, stat.Version, err
}

// applyOps changes a config in place.
func (a *Admin) applyOps(id resourceID, config map[string]string, ops []configOp) *adminError {
	for _, op := range ops {
		switch op.op {
		case kmsg.IncrementalAlterConfigOpSet:
			config[op.name] = *op.value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(config, op.name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			if refusal := a.changeList(id, config, op); refusal != nil {
				return refusal
			}
		default:
			return adminErrorf(errInvalidRequest, "Unknown operations type %d", op.op)
		}
	}
	return nil
}

// changeList appends to or subtracts from a list. Where the key is not set, its
// default is what is changed.
func (a *Admin) changeList(id resourceID, config map[string]string, op configOp) *adminError {
	find, verb := a.cfg.Configs.TopicKey, "append"
	if id.kind == kmsg.ConfigResourceTypeBroker {
		find = a.cfg.Configs.BrokerKey
	}
	if op.op == kmsg.IncrementalAlterConfigOpSubtract {
		verb = "subtract"
	}
	key, ok := find(op.name)
	if !ok {
		return adminErrorf(errInvalidConfig, "Unknown config name: %s", op.name)
	}
	if key.Type != metadata.List {
		return adminErrorf(errInvalidConfig, "Config value %s is not allowed for config key: %s", verb, op.name)
	}
	text, set := config[op.name]
	if !set && key.Default != nil {
		text = *key.Default
	}
	var list []string
	if text != "" {
		list = strings.Split(text, ",")
	}
	for _, e := range strings.Split(*op.value, ",") {
		at := slices.Index(list, e)
		switch {
		case verb == "append" && at < 0:
			list = append(list, e)
		case verb == "subtract" && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	config[op.name] = strings.Join(list, ",")
	return nil
}

// checkConfig validates a whole config.
func (a *Admin) checkConfig(id resourceID, config map[string]string) *adminError {
	if len(coordination.EncodeConfig(config)) > coordination.MaxDataSize/2 {
		return adminErrorf(errInvalidConfig, "The config of resource %s is too large.", id)
	}
	if id.kind == kmsg.ConfigResourceTypeTopic {
		err := a.cfg.Configs.ValidateTopic(config)
		var unknown *metadata.UnknownKeyError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &unknown):
			return &adminError{errInvalidConfig, err.Error()}
		default:
			return adminErrorf(errInvalidConfig, "Invalid config value for resource %s: %s", id, err)
		}
	}
	for name := range config {
		if k, ok := a.cfg.Configs.BrokerKey(name); ok && k.Sensitive() {
			return adminErrorf(errInvalidRequest, "The password config %s cannot be stored: password.encoder.secret is not configured.", name)
		}
	}
	all := id.name == metadata.DefaultBroker
	if err := a.cfg.Configs.ValidateBroker(config, all); err != nil {
		return &adminError{errInvalidRequest, err.Error()}
	}
	return a.checkBroker(config, all)
}

// checkBroker asks the parts of this broker whether they could follow a config.
func (a *Admin) checkBroker(config map[string]string, all bool) *adminError {
	if a.cfg.CheckBroker == nil {
		return nil
	}
	next, err := a.cfg.Configs.Preview(config, all)
	if err == nil {
		err = a.cfg.CheckBroker(next)
	}
	if err != nil {
		return &adminError{errInvalidRequest, err.Error()}
	}
	return nil
}

// writeConfig writes a config and the notice that makes all brokers read it.
func (a *Admin) writeConfig(ctx context.Context, e entity, config map[string]string, version int32) error {
	path := coordination.ConfigEntityPath(e.kind, e.name)
	op := coordination.Set(path, coordination.EncodeConfig(config), version)
	if version < 0 {
		op = coordination.Create(path, coordination.EncodeConfig(config), coordination.Persistent)
	}
	_, err := a.cfg.Tree.Multi(ctx, op,
		coordination.Create(coordination.ConfigChangePath(), coordination.EncodeConfigChange(e.kind, e.name), coordination.PersistentSequential))
	return err
}

// applyLocally makes the change hold on this broker at once; the notice makes it
// hold on the others, and again here.
func (a *Admin) applyLocally(e entity, config map[string]string) {
	a.logger.Info("config changed", "type", e.kind, "name", e.name, "keys", slices.Sorted(maps.Keys(config)))
	if err := applyConfig(a.cfg.Configs, e.kind, e.name, config); err != nil {
		a.logger.Warn("config does not take effect on this broker", "type", e.kind, "name", e.name, "error", err)
	}
}

// applyConfig makes a config hold on this broker. Configs of other brokers, and
// of entities that this broker keeps nothing for, are left alone.
func applyConfig(configs *metadata.Configs, kind coordination.ConfigType, name string, config map[string]string) error {
	switch {
	case kind == coordination.ConfigTopics:
		return configs.SetTopic(name, config)
	case kind == coordination.ConfigBrokers && name == coordination.DefaultEntity:
		return configs.SetBrokerOverrides(true, config)
	case kind == coordination.ConfigBrokers && name == strconv.Itoa(int(configs.BrokerID())):
		return configs.SetBrokerOverrides(false, config)
	}
	return nil
}
