package auth

import "testing"

type only Operation

func (o only) Authorize(_ Subject, op Operation, _ Resource) bool { return op == Operation(o) }

// The bit fields are what a Kafka broker without an authorizer answers; admin
// tools print them.
func TestPermitted(t *testing.T) {
	for _, c := range []struct {
		name string
		az   Authorizer
		res  Resource
		want int32
	}{
		{"topic", AllowAll{}, Resource{Topic, "t"}, 0xdf8},
		{"group", AllowAll{}, Resource{Group, "g"}, 0xd48},
		{"cluster", AllowAll{}, ClusterResource, 0x1fa0},
		{"transactional id", AllowAll{}, Resource{TransactionalID, "x"}, 0x110},
		{"one operation", only(Read), Resource{Topic, "t"}, 8},
		{"operation of another resource", only(Write), Resource{Group, "g"}, 0},
		{"unknown type", AllowAll{}, Resource{9, "t"}, 0},
	} {
		if got := Permitted(c.az, Subject{Principal: Anonymous}, c.res); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}
