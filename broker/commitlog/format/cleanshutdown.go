package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/leatstream/leat/broker/vfs"
)

// CleanShutdownFile marks a directory whose logs were closed in order.
const CleanShutdownFile = ".kafka_cleanshutdown"

type cleanShutdown struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

// TakeCleanShutdown reads and removes the mark of an orderly stop. The mark is
// gone for good, folder entry included, before any log is opened: a crash from
// now on must not look like an orderly stop.
func TakeCleanShutdown(fsys vfs.FS, dir string) (clean bool, brokerEpoch int64, err error) {
	name := filepath.Join(dir, CleanShutdownFile)
	data, err := vfs.ReadFile(fsys, name, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return false, -1, nil
	}
	if err != nil {
		return false, -1, err
	}
	mark := cleanShutdown{BrokerEpoch: -1}
	if json.Unmarshal(data, &mark) != nil { // older versions leave an empty file
		mark.BrokerEpoch = -1
	}
	if err := fsys.Remove(name); err != nil {
		return false, -1, err
	}
	return true, mark.BrokerEpoch, fsys.SyncDir(dir)
}

// PutCleanShutdown leaves the mark of an orderly stop.
func PutCleanShutdown(fsys vfs.FS, dir string, brokerEpoch int64) error {
	data := fmt.Appendf(nil, `{"version":0,"brokerEpoch":%d}`, brokerEpoch)
	if err := vfs.WriteFile(fsys, filepath.Join(dir, CleanShutdownFile), data, 0o644); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
