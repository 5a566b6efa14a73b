package runtime

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/leatstream/leat/streams/processor"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrConfig is wrapped by the errors of a bad Config.
var ErrConfig = errors.New("invalid streams configuration")

// Config says how an application runs. The zero value of a field takes the
// default named beside it.
type Config struct {
	// App is the application id: the consumer group and the prefix of the
	// internal topics. Required.
	App string
	// Client are the options of every client: brokers, TLS, SASL. Required.
	Client []kgo.Opt
	// StateDir is the folder of the stores on disk; a folder named after the
	// application is made in it. Empty keeps all stores in memory.
	StateDir string
	// CacheSize is the block cache of all stores on disk, in bytes; 64 MiB.
	CacheSize int64
	// Threads is the number of group members of this process; as many as
	// there are CPUs.
	Threads int
	// CommitInterval is the longest time between two commits; 1 s.
	CommitInterval time.Duration
	// MaxUncommitted is the size of uncommitted state that makes a thread
	// commit early, in bytes; 64 MiB.
	MaxUncommitted int64
	// FlushInterval is how often stores are written to disk in full, so that
	// a crash leaves little to restore; 5 min.
	FlushInterval time.Duration
	// MaxPoll is the number of records taken per poll; 4096.
	MaxPoll int
	// MaxQueued is the number of records of one input partition that may
	// wait before fetching it pauses; 8192.
	MaxQueued int
	// MaxWait is how long a task waits for another input of its own, or for a
	// task of the same sub-topology in the thread, that is behind in event time
	// and known to have more records; 1 s.
	MaxWait time.Duration
	// PollWait is how long a poll waits for records, and so the granularity of
	// punctuations and idle policies; 100 ms.
	PollWait time.Duration
	// TopicWait is how long Run waits for input topics to appear; 30 s.
	TopicWait time.Duration
	// SessionTimeout is that of the consumer group; 45 s as kgo.
	SessionTimeout time.Duration
	// InstanceID makes the threads static members of the group, of the names
	// InstanceID-0, InstanceID-1 and so on: a process that starts again within
	// SessionTimeout, after whatever end, has its tasks back at once; nobody
	// takes them meanwhile. No two processes may share one. Empty makes them
	// dynamic members, which leave the group at an orderly end.
	InstanceID string
	// ShutdownTimeout bounds the last commit; 20 s.
	ShutdownTimeout time.Duration
	// Replication is the factor of internal topics; -1, the broker's default.
	Replication int16
	// Handler decides about failed records; by the class of the error.
	Handler processor.Handler
	// DeadLetter is the topic of records classed so.
	DeadLetter string
	// OnState is told every change of state, from Run's goroutines, one call
	// at a time. It must return soon and not call the application.
	OnState func(State)
	// ProcessID tells processes apart; random.
	ProcessID uuid.UUID
}

func (c Config) withDefaults() (Config, error) {
	if c.App == "" {
		return c, fmt.Errorf("%w: no application id", ErrConfig)
	}
	if len(c.Client) == 0 {
		return c, fmt.Errorf("%w: no client options", ErrConfig)
	}
	if c.Threads < 0 || c.MaxPoll < 0 || c.MaxQueued < 0 || c.CommitInterval < 0 || c.MaxUncommitted < 0 {
		return c, fmt.Errorf("%w: negative value", ErrConfig)
	}
	defaultTo(&c.CacheSize, 64<<20)
	defaultTo(&c.Threads, runtime.GOMAXPROCS(0))
	defaultTo(&c.CommitInterval, time.Second)
	defaultTo(&c.MaxUncommitted, 64<<20)
	defaultTo(&c.FlushInterval, 5*time.Minute)
	defaultTo(&c.MaxPoll, 4096)
	defaultTo(&c.MaxQueued, 8192)
	defaultTo(&c.MaxWait, time.Second)
	defaultTo(&c.PollWait, 100*time.Millisecond)
	defaultTo(&c.TopicWait, 30*time.Second)
	defaultTo(&c.ShutdownTimeout, 20*time.Second)
	defaultTo(&c.Replication, -1)
	if c.ProcessID == uuid.Nil {
		c.ProcessID = uuid.New()
	}
	return c, nil
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// State is what an application is doing.
type State string

// The states of an application.
const (
	Created     State = "created"
	Starting    State = "starting"    // topics are checked and created
	Rebalancing State = "rebalancing" // no tasks assigned yet, or some are being restored
	Running     State = "running"
	Stopping    State = "stopping"
	Stopped     State = "stopped"
	Failed      State = "failed"
)
