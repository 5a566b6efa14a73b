package auth

// Subject is who asks, and from where.
type Subject struct {
	Principal Principal
	Host      string // the peer's address without its port
}

// Authorizer decides. Its methods may be called from any goroutine and must not
// block on the network.
type Authorizer interface {
	// Authorize reports whether s may apply op to r.
	Authorize(s Subject, op Operation, r Resource) bool
}

// AllowAll is the authorizer of a broker without one: it permits everything.
type AllowAll struct{}

var _ Authorizer = AllowAll{}

// Authorize reports true.
func (AllowAll) Authorize(Subject, Operation, Resource) bool { return true }

// Permitted returns the operations that s may apply to r as a bit field: bit n
// stands for the operation of code n.
func Permitted(a Authorizer, s Subject, r Resource) int32 {
	var bits int32
	for _, op := range OperationsOf(r.Type) {
		if a.Authorize(s, op, r) {
			bits |= 1 << op
		}
	}
	return bits
}
