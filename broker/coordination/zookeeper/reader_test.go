package zookeeper

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestParseAddress(t *testing.T) {
	for address, want := range map[string][]string{ // servers, then the chroot
		"zk":                   {"zk:2181", ""},
		"zk:1":                 {"zk:1", ""},
		" a:1 , b:2 ":          {"a:1", "b:2", ""},
		"a:1,b/kafka":          {"a:1", "b:2181", "/kafka"},
		"a:1/kafka/one/":       {"a:1", "/kafka/one"},
		"a:1/":                 {"a:1", ""},
		"[::1]:2182,[fe80::1]": {"[::1]:2182", "[fe80::1]:2181", ""},
	} {
		servers, chroot, err := ParseAddress(address)
		if got := append(servers, chroot); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", address, got, err, want)
		}
	}
	for _, bad := range []string{"", "/", "/kafka", "a:0", "a:65536", "a:b", ",", "a:1,", "a:1//x", "a b:1"} {
		if servers, chroot, err := ParseAddress(bad); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %q %q %v", bad, servers, chroot, err)
		}
	}
}

func TestDialGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := Dial(ctx, "127.0.0.1:1", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", r, err)
	}
}
