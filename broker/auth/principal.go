package auth

// Principal is an authenticated identity. The zero value is nobody.
type Principal struct {
	Type string // "User" for every client that Kafka's own mechanisms know
	Name string
}

// Anonymous is the principal of a connection that does not authenticate.
var Anonymous = Principal{Type: "User", Name: "ANONYMOUS"}

// String returns "Type:Name", the form in which ACLs name principals.
func (p Principal) String() string { return p.Type + ":" + p.Name }
