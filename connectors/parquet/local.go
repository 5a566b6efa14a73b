package parquet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Local is a Storage in a folder of this machine.
type Local struct{ root string }

// NewLocal uses the folder root, which is made when the first file is.
func NewLocal(root string) *Local { return &Local{root: root} }

func (l *Local) abs(path string) string { return filepath.Join(l.root, filepath.FromSlash(path)) }

// Create implements Storage.
func (l *Local) Create(path string) (File, error) {
	name := l.abs(path)
	if err := l.makeDir(filepath.Dir(name)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return localFile{f}, nil
}

// makeDir makes dir and syncs every folder that gained an entry, up from it.
func (l *Local) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	missing := []string{}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		missing = append(missing, d)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range missing {
		if err := syncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// RenameNoReplace implements Storage.
func (l *Local) RenameNoReplace(from, to string) error {
	src, dst := l.abs(from), l.abs(to)
	if err := l.makeDir(filepath.Dir(dst)); err != nil {
		return err
	}
	if err := renameNoReplace(src, dst); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(dst)), syncDir(filepath.Dir(src)))
}

// linkNoReplace gives the file its new name, then takes the old one away. A
// crash in between leaves both names; the temporary one is swept later.
func linkNoReplace(src, dst string) error {
	if err := os.Link(src, dst); err != nil {
		return err
	}
	return os.Remove(src)
}

// List implements Storage.
func (l *Local) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(l.abs(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Remove implements Storage.
func (l *Local) Remove(path string) error {
	err := os.Remove(l.abs(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

type localFile struct{ *os.File }

// Close syncs and closes.
func (f localFile) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
