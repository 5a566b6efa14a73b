package commitlog

import (
	"path/filepath"

	"github.com/leatstream/leat/broker/vfs"
)

// replaceFile writes data to name so that a crash leaves the old or the new
// contents: temporary file, sync, rename, sync of the folder.
func replaceFile(fsys vfs.FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := vfs.WriteFile(fsys, tmp, data, 0o644); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
