package format

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/leatstream/leat/broker/vfs"
)

// PartitionMetadataFile holds the id of a partition's topic.
const PartitionMetadataFile = "partition.metadata"

// EncodeTopicID gives the contents of partition.metadata.
func EncodeTopicID(id [16]byte) []byte {
	return []byte("version: 0\ntopic_id: " + base64.RawURLEncoding.EncodeToString(id[:]))
}

// DecodeTopicID reads the contents of partition.metadata.
func DecodeTopicID(data []byte) (id [16]byte, err error) {
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case !ok && key == "":
		case ok && key == "version":
			if value != "0" {
				return id, fmt.Errorf("%w: partition.metadata version %.20q", ErrCorruptFile, value)
			}
		case ok && key == "topic_id":
			raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
			if err != nil || len(raw) != len(id) {
				return id, fmt.Errorf("%w: topic id %.40q", ErrCorruptFile, value)
			}
			return [16]byte(raw), nil
		default:
			return id, fmt.Errorf("%w: partition.metadata line %.80q", ErrCorruptFile, line)
		}
	}
	return id, fmt.Errorf("%w: partition.metadata without topic_id", ErrCorruptFile)
}

// ReadTopicID reads a folder's topic id; zero when there is none.
func ReadTopicID(fsys vfs.FS, name string) ([16]byte, error) {
	data, err := vfs.ReadFile(fsys, name, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return [16]byte{}, nil
	}
	if err != nil {
		return [16]byte{}, err
	}
	return DecodeTopicID(data)
}
