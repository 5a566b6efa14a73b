package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Require skips t unless the component is installed; where LEAT_REQUIRE names
// it, a missing component fails t instead. Components are those of the script
// install: kcat, chromium, python, kafka-0.8, kafka-0.9, kafka-0.10, kafka-2.8,
// kafka-3.9, kafka-4.3, zookeeper and hdfs.
func Require(t testing.TB, component string) {
	t.Helper()
	if installed(component) {
		return
	}
	missing := component + " is not installed: run " + script("install") + " " + component
	if slices.Contains(strings.Split(os.Getenv("LEAT_REQUIRE"), ","), component) {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func installed(component string) bool {
	switch component {
	case "kcat":
		return inPath("kcat") != ""
	case "chromium":
		return chromium() != ""
	case "python":
		return exec.Command(python(), "-c", "import duckdb, pyarrow").Run() == nil
	}
	out, err := exec.Command(script("run"), "class-path-file", component).Output()
	if err != nil || inPath("java") == "" {
		return false
	}
	_, err = os.Stat(strings.TrimSpace(string(out)))
	return err == nil
}

// Root is the folder of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

func script(name string) string { return filepath.Join(Root(), "deploy", "testbed", name) }

func inPath(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func chromium() string { return inPath("chromium-headless-shell", "chromium", "google-chrome") }

func python() string {
	cache := os.Getenv("LEAT_TESTBED")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache", "leat-testbed")
	}
	return filepath.Join(cache, "venv", "bin", "python")
}

// Chromium is the path of a headless Chromium; it runs as root with
// --no-sandbox only.
func Chromium(t testing.TB) string {
	t.Helper()
	Require(t, "chromium")
	return chromium()
}
