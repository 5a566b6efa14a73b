package coordination

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EncodeConfig writes the payload of a /config/<type>/<name> node.
func EncodeConfig(config map[string]string) []byte {
	keys := slices.Collect(maps.Keys(config))
	propertiesOrder(keys)
	inner := newObject()
	for _, k := range keys {
		inner.str(k, config[k])
	}
	return newObject().num("version", 1).raw("config", inner.end()).end()
}

// DecodeConfig reads a config. An empty node is an empty config.
func DecodeConfig(b []byte) (map[string]string, error) {
	if len(b) == 0 {
		return map[string]string{}, nil
	}
	var j struct {
		Version *int32             `json:"version"`
		Config  map[string]*string `json:"config"`
	}
	if err := decode("config", b, &j); err != nil {
		return nil, err
	}
	if j.Version == nil || *j.Version != 1 {
		return nil, fmt.Errorf("%w: config of unknown version", ErrBadPayload)
	}
	out := make(map[string]string, len(j.Config))
	for k, v := range j.Config {
		if v != nil {
			out[k] = *v
		}
	}
	return out, nil
}

// EncodeConfigChange writes the payload of a config change node: the path of the
// entity below /config.
func EncodeConfigChange(t ConfigType, name string) []byte {
	return newObject().num("version", 2).str("entity_path", string(t)+"/"+name).end()
}

// DecodeConfigChange reads versions 1 (type and name) and 2 (path). For
// users/<u>/clients/<c> the type is users and the name <u>/clients/<c>.
func DecodeConfigChange(b []byte) (ConfigType, string, error) {
	var j struct {
		Version    *int32 `json:"version"`
		EntityPath string `json:"entity_path"`
		EntityType string `json:"entity_type"`
		EntityName string `json:"entity_name"`
	}
	if err := decode("config change", b, &j); err != nil {
		return "", "", err
	}
	switch {
	case j.Version != nil && *j.Version == 1 && j.EntityType != "" && j.EntityName != "":
		return ConfigType(j.EntityType), j.EntityName, nil
	case j.Version != nil && *j.Version == 2:
		kind, name, ok := strings.Cut(j.EntityPath, "/")
		if ok && kind != "" && name != "" {
			return ConfigType(kind), name, nil
		}
	}
	return "", "", fmt.Errorf("%w: config change %q", ErrBadPayload, b)
}
