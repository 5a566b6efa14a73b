package pipelines

import (
	"embed"
	"io/fs"
	"path"
	"slices"
)

//go:embed */pipeline.yaml
var ready embed.FS

// Ready are the names of the pipelines that come with Leat, sorted.
func Ready() []string {
	files, _ := fs.Glob(ready, "*/pipeline.yaml") // the pattern is valid
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = path.Dir(f)
	}
	slices.Sort(names)
	return names
}

// ReadyDocument is the document of a ready pipeline.
func ReadyDocument(name string) ([]byte, error) {
	return ready.ReadFile(path.Join(name, "pipeline.yaml"))
}

//go:embed access-log/sample.log
var sampleAccessLog []byte

// SampleAccessLog is a made-up log of a web server in the combined format, with
// a few broken lines.
func SampleAccessLog() []byte { return sampleAccessLog }
