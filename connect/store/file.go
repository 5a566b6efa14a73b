package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/leatstream/leat/connect"
)

// maxFileSize bounds what is read into memory; a larger file is not ours.
const maxFileSize = 256 << 20

// File stores offsets in one file. It reads the file once, when opened; only
// one process may use the file at a time.
//
// The document is {"<connector>": {"<partition as JSON>": {offset}, …}, …}.
// Each Set writes a temporary file beside it, syncs it, renames it over the
// old one and syncs the folder, so a reader finds the old or the new state.
type File struct {
	path string

	mu    sync.Mutex
	state map[string]map[string]json.RawMessage // connector → partition JSON → offset JSON
}

// OpenFile reads the offsets at path; a missing file is an empty store.
func OpenFile(path string) (*File, error) {
	f := &File{path: path, state: map[string]map[string]json.RawMessage{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if len(b) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(b, &f.state); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
	}
	return f, nil
}

// Get implements Offsets.
func (f *File) Get(_ context.Context, connector string, partition map[string]any) (map[string]any, error) {
	key, err := json.Marshal(partition)
	if err != nil {
		return nil, fmt.Errorf("store: partition: %w", err)
	}
	f.mu.Lock()
	raw, ok := f.state[connector][string(key)]
	f.mu.Unlock()
	if !ok {
		return nil, nil
	}
	return decodeMap(raw)
}

// List implements Offsets.
func (f *File) List(_ context.Context, connector string) ([]connect.SourceOffset, error) {
	f.mu.Lock()
	parts := maps.Clone(f.state[connector])
	f.mu.Unlock()
	var out []connect.SourceOffset
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		p, err := decodeMap([]byte(key))
		if err != nil {
			return nil, err
		}
		o, err := decodeMap(parts[key])
		if err != nil {
			return nil, err
		}
		out = append(out, connect.SourceOffset{Partition: p, Offset: o})
	}
	return out, nil
}

// Set implements Offsets.
func (f *File) Set(_ context.Context, connector string, offsets []connect.SourceOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := maps.Clone(f.state[connector])
	if next == nil {
		next = map[string]json.RawMessage{}
	}
	if err := apply(next, offsets); err != nil {
		return err
	}
	old, had := f.state[connector]
	f.state[connector] = next
	if err := f.write(); err != nil {
		if had {
			f.state[connector] = old
		} else {
			delete(f.state, connector)
		}
		return err
	}
	return nil
}

func apply(state map[string]json.RawMessage, offsets []connect.SourceOffset) error {
	for _, o := range offsets {
		key, err := json.Marshal(o.Partition)
		if err != nil {
			return fmt.Errorf("store: partition: %w", err)
		}
		if o.Offset == nil {
			delete(state, string(key))
			continue
		}
		val, err := json.Marshal(o.Offset)
		if err != nil {
			return fmt.Errorf("store: offset: %w", err)
		}
		state[string(key)] = val
	}
	return nil
}

func (f *File) write() error {
	b, err := json.MarshalIndent(f.state, "", " ")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := replaceFile(f.path, append(b, '\n')); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// replaceFile puts b at path in one step that survives a crash.
func replaceFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// decodeMap reads a JSON object; integers become int64.
func decodeMap(b []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for k, v := range m {
		m[k] = number(v)
	}
	return m, nil
}

func number(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	if i, err := n.Int64(); err == nil {
		return i
	}
	fl, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return fl
}
