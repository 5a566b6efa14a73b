package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/leatstream/leat/cmd/internal/output"
)

// version is the release; a release build sets it with -ldflags -X.
var version = "0.1.0"

// versionInfo is what "leat version" prints.
type versionInfo struct {
	Version  string `json:"version" col:"Version,name"`
	Revision string `json:"revision" col:"Revision"`
	Modified bool   `json:"modified" col:"Modified,wide"`
	Go       string `json:"go" col:"Go"`
	Platform string `json:"platform" col:"Platform"`
}

func newVersionCmd(a *App) *cobra.Command {
	return a.formatFlag(&cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		RunE: func(*cobra.Command, []string) error {
			return output.One(a.printer(), currentVersion())
		},
	})
}

func currentVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
