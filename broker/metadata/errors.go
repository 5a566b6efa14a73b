package metadata

import (
	"errors"
	"fmt"
)

// ErrInvalidConfig: a value does not fit its key, or keys contradict each other.
// The message of an error that wraps it is fit for the client.
var ErrInvalidConfig = errors.New("invalid config")

// configError is an error whose text is what Kafka would say.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

// Is makes errors.Is(err, ErrInvalidConfig) hold.
func (e *configError) Is(target error) bool { return target == ErrInvalidConfig }

func invalidf(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}
