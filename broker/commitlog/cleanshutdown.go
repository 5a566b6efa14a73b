package commitlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/leatstream/leat/broker/vfs"
)

const cleanShutdownFile = ".kafka_cleanshutdown"

type cleanShutdown struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

// takeCleanShutdown reads and removes the mark of an orderly stop. The mark is
// gone for good, folder entry included, before any log is opened: a crash from
// now on must not look like an orderly stop.
func takeCleanShutdown(fsys vfs.FS, dir string) (clean bool, brokerEpoch int64, err error) {
	name := filepath.Join(dir, cleanShutdownFile)
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

// putCleanShutdown leaves the mark of an orderly stop.
func putCleanShutdown(fsys vfs.FS, dir string, brokerEpoch int64) error {
	data := fmt.Appendf(nil, `{"version":0,"brokerEpoch":%d}`, brokerEpoch)
	if err := vfs.WriteFile(fsys, filepath.Join(dir, cleanShutdownFile), data, 0o644); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
