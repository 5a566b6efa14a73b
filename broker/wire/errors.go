package wire

import "errors"

var (
	// ErrMalformed says that bytes do not have the form their key and version
	// ask for. The only answer is to close the connection.
	ErrMalformed = errors.New("malformed message")
	// ErrUnsupportedVersion says that the key or the version is not served.
	ErrUnsupportedVersion = errors.New("unsupported API key or version")
)
