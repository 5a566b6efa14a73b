package broker_test

import (
	"os"
	"syscall"
	"testing"
)

// allocated is how many bytes of the disk a file takes.
func allocated(t testing.TB, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}
