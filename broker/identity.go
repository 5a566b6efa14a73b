package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/controller"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
)

// unknownID is the broker.id of a broker that takes what it is given.
const unknownID int32 = -1

// findID is the id of this broker: the configured one; or that of its log
// directories; or a new one, above all that may be configured.
func findID(ctx context.Context, tree coordination.Tree, c *metadata.BrokerConfig) (int32, error) {
	if c.BrokerID != unknownID {
		return c.BrokerID, nil
	}
	stored, err := storedID(c.LogDirs)
	if err != nil || stored != unknownID {
		return stored, err
	}
	if !c.BrokerIDGeneration {
		return 0, fmt.Errorf("%w: broker.id is not set, and broker.id.generation.enable is false", ErrConfig)
	}
	return controller.GenerateBrokerID(ctx, tree, c.ReservedBrokerMaxID)
}

// dirFailed is told when a log directory goes off line. Without any left there
// is nothing to serve.
func (b *Broker) dirFailed(l *life, dir string, err error) {
	b.dirsMu.Lock()
	b.failedDirs[dir] = true
	left := len(b.settings.LogDirs) - len(b.failedDirs)
	b.dirsMu.Unlock()
	b.log.Error("log directory is off line", "dir", dir, "err", err, "left", left)
	if left == 0 {
		l.fail(fmt.Errorf("%w: %w", ErrNoLogDir, err))
	}
}

// ErrNoLogDir says that all log directories have failed.
var ErrNoLogDir = errors.New("broker: no log directory is left")

// storedID is the broker id that the log directories carry, or unknownID when
// none does. Each directory that was in use has a meta.properties.
func storedID(dirs []string) (int32, error) {
	id, from := unknownID, ""
	for _, dir := range dirs {
		path := filepath.Join(dir, metaFile)
		found, err := readID(path)
		switch {
		case err != nil:
			return 0, err
		case found == unknownID:
		case id != unknownID && id != found:
			return 0, fmt.Errorf("%w: %s is of broker %d, but %s is of broker %d", ErrConfig, path, found, from, id)
		default:
			id, from = found, path
		}
	}
	return id, nil
}

// metaFile tells, in each log directory, whose it is.
const metaFile = "meta.properties"

// maxMetaBytes bounds how much of a meta.properties is read.
const maxMetaBytes = 64 << 10

// readID reads broker.id from a meta.properties, which need not exist.
func readID(path string) (int32, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return unknownID, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxMetaBytes))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if strings.TrimSpace(key) != keyBrokerID {
			continue
		}
		id, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
		if err != nil || id < 0 {
			return 0, fmt.Errorf("%w: %s: broker.id %q is not an id", ErrConfig, path, value)
		}
		return int32(id), nil
	}
	return unknownID, lines.Err()
}
