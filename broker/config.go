package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
)

// ErrConfig says that a broker cannot be built from its configuration.
var ErrConfig = errors.New("broker configuration")

// Config is all that a broker is told. The zero value is a broker as Kafka's
// defaults make it.
type Config struct {
	// DataDir, if set, is the folder of a broker that needs no other settings:
	// it is broker 0, its log directory is DataDir/log, and its tree of znodes
	// lies in DataDir/coordination. Properties overrule each of these.
	DataDir string
	// CoordinationDir is the folder of the embedded tree. Empty: DataDir/coordination,
	// or else a folder beside the first log directory, called like it with
	// "-coordination" at the end.
	CoordinationDir string
	// Properties are the keys of a server.properties. Keys that are not known
	// are ignored, with a warning.
	Properties map[string]string
	// Authorizer decides what clients may do; nil permits everything.
	Authorizer auth.Authorizer
	// LogLevel, if not nil, is the level of the logger given to New: clients
	// can read and change it as the configuration of the broker's logger.
	LogLevel *slog.LevelVar
}

// The keys whose defaults DataDir changes.
const (
	keyBrokerID = "broker.id"
	keyNodeID   = "node.id"
	keyLogDir   = "log.dir"
	keyLogDirs  = "log.dirs"
)

// properties returns the properties with DataDir's defaults.
func (c Config) properties() map[string]string {
	p := maps.Clone(c.Properties)
	if p == nil {
		p = make(map[string]string)
	}
	if c.DataDir == "" {
		return p
	}
	if p[keyBrokerID] == "" && p[keyNodeID] == "" {
		p[keyBrokerID] = "0"
	}
	if p[keyLogDir] == "" && p[keyLogDirs] == "" {
		p[keyLogDirs] = filepath.Join(c.DataDir, "log")
	}
	return p
}

// checkDataDir refuses a folder that log.dirs would take for several.
func (c Config) checkDataDir() error {
	if strings.Contains(c.DataDir, ",") && c.Properties[keyLogDir] == "" && c.Properties[keyLogDirs] == "" {
		return fmt.Errorf("%w: the data folder %q has a comma, which parts folders in log.dirs; choose another name", ErrConfig, c.DataDir)
	}
	return nil
}

// brokerID is the configured id, or unknownID.
func brokerID(properties map[string]string) (int32, error) {
	for _, key := range []string{keyBrokerID, keyNodeID} {
		if text, ok := properties[key]; ok {
			id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
			if err != nil || id < int64(unknownID) {
				return 0, fmt.Errorf("%w: %s is %q, which is no id", ErrConfig, key, text)
			}
			return int32(id), nil
		}
	}
	return unknownID, nil
}

// coordinationDir returns the folder of the embedded tree.
func (c Config) coordinationDir(logDirs []string) (string, error) {
	dir := c.CoordinationDir
	switch {
	case dir != "":
	case c.DataDir != "":
		dir = filepath.Join(c.DataDir, "coordination")
	case len(logDirs) > 0:
		dir = filepath.Clean(logDirs[0]) + "-coordination"
	}
	if slices.ContainsFunc(logDirs, func(d string) bool { return within(dir, d) }) {
		return "", fmt.Errorf("%w: %s lies inside a log directory", ErrConfig, dir)
	}
	return dir, nil
}

// absolute gives log directories as clients see and name them.
func absolute(dirs []string) ([]string, error) {
	out := make([]string, len(dirs))
	for i, dir := range dirs {
		var err error
		if out[i], err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("log directory %s: %w", dir, err)
		}
	}
	return out, nil
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// check refuses settings that this broker cannot follow.
func check(c *metadata.BrokerConfig) error {
	if len(c.LogDirs) == 0 {
		return fmt.Errorf("%w: log.dirs is empty", ErrConfig)
	}
	if len(c.Listeners) == 0 {
		return fmt.Errorf("%w: listeners is empty", ErrConfig)
	}
	if c.ZooKeeperConnect != "" {
		return fmt.Errorf("%w: zookeeper.connect is set, but this broker keeps its own tree; leave the key out", ErrConfig)
	}
	for _, l := range slices.Concat(c.Listeners, c.AdvertisedListeners) {
		if l.SecurityProtocol != metadata.ProtocolPlaintext && l.SecurityProtocol != metadata.ProtocolSSL {
			return fmt.Errorf("%w: listener %s: the security protocols PLAINTEXT and SSL are served, not %s",
				ErrConfig, l.Name, metadata.SecurityProtocolName(l.SecurityProtocol))
		}
	}
	return nil
}
