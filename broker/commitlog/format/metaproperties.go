package format

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/broker/vfs"
)

// MetaPropertiesFile tells whose a log directory is.
const MetaPropertiesFile = "meta.properties"

// MetaProperties is the identity stored in a log directory.
type MetaProperties struct {
	BrokerID    int32 // -1: not set
	ClusterID   string
	DirectoryID string // kept if another broker version wrote one
}

// ReadMetaProperties reads the identity of a log directory; found is false when
// the directory has none yet.
func ReadMetaProperties(fsys vfs.FS, dir string) (p MetaProperties, found bool, err error) {
	data, err := vfs.ReadFile(fsys, filepath.Join(dir, MetaPropertiesFile), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	p, err = DecodeMetaProperties(data)
	return p, err == nil, err
}

// DecodeMetaProperties reads the contents of the file; keys that it does not know
// are left out.
func DecodeMetaProperties(data []byte) (MetaProperties, error) {
	p := MetaProperties{BrokerID: -1}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.ReplaceAll(strings.TrimSpace(value), "\\", "")
		switch strings.TrimSpace(key) {
		case "version":
			if value != "0" && value != "1" {
				return p, fmt.Errorf("%w: meta.properties version %.20q", ErrCorruptFile, value)
			}
		case "broker.id", "node.id":
			id, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				return p, fmt.Errorf("%w: meta.properties: broker id %.20q", ErrCorruptFile, value)
			}
			p.BrokerID = int32(id)
		case "cluster.id":
			p.ClusterID = value
		case "directory.id":
			p.DirectoryID = value
		}
	}
	return p, nil
}

// Encode gives the file as java.util.Properties stores it: an empty comment, the
// date, then the keys.
func (p MetaProperties) Encode(now time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "#\n#%s\n", now.UTC().Format("Mon Jan 02 15:04:05 UTC 2006"))
	fmt.Fprintf(&b, "broker.id=%d\n", p.BrokerID)
	if p.ClusterID != "" {
		fmt.Fprintf(&b, "cluster.id=%s\n", p.ClusterID)
	}
	if p.DirectoryID != "" {
		fmt.Fprintf(&b, "directory.id=%s\n", p.DirectoryID)
	}
	b.WriteString("version=0\n")
	return []byte(b.String())
}
