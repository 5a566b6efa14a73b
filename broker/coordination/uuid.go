package coordination

import (
	"encoding/base64"
	"fmt"
)

// UUID is a 128-bit id of a topic; the zero value means that there is none.
// It is an alias so that it fits the fields of protocol messages.
type UUID = [16]byte

// FormatUUID writes an id as Kafka does: URL-safe base64 without padding, 22
// characters.
func FormatUUID(id UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseUUID reads what FormatUUID wrote. Padding is accepted.
func ParseUUID(s string) (UUID, error) {
	var id UUID
	if len(s) > 24 {
		return id, fmt.Errorf("%w: topic id of %d characters", ErrBadPayload, len(s))
	}
	for len(s) > 0 && s[len(s)-1] == '=' {
		s = s[:len(s)-1]
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: topic id %q", ErrBadPayload, s)
	}
	return UUID(b), nil
}
