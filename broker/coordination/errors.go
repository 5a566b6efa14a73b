package coordination

import "errors"

// The errors of a Tree; tell them apart with errors.Is.
var (
	ErrNoNode                  = errors.New("coordination: node does not exist")
	ErrNodeExists              = errors.New("coordination: node exists")
	ErrBadVersion              = errors.New("coordination: version does not match")
	ErrNotEmpty                = errors.New("coordination: node has children")
	ErrNoChildrenForEphemerals = errors.New("coordination: ephemeral nodes cannot have children")
	ErrBadArguments            = errors.New("coordination: bad arguments")
	// ErrTooLarge: a payload, a path or a multi over its bound, or a tree that
	// has no room for another node or watch.
	ErrTooLarge = errors.New("coordination: too large")
	// ErrRolledBack: the operation of a multi was undone since a later one failed.
	ErrRolledBack = errors.New("coordination: rolled back")
	// ErrNotAttempted: an earlier operation of the same multi failed.
	ErrNotAttempted = errors.New("coordination: not attempted")
	// ErrSessionExpired: the session was ended by the tree; its ephemerals are gone.
	ErrSessionExpired = errors.New("coordination: session expired")
	// ErrConnectionLoss: the outcome is not known; the session may still live.
	ErrConnectionLoss = errors.New("coordination: connection lost")
	// ErrClosed: the session or the tree was closed by its owner.
	ErrClosed = errors.New("coordination: closed")
	// ErrBadPayload: a znode holds bytes that are no valid payload of its kind.
	ErrBadPayload = errors.New("coordination: bad payload")
)
