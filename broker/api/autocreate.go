package api

import (
	"context"
	"time"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
)

// autoCreateWait bounds how long a request waits for the leaders of the topics
// that it caused to be created. A client that is told to come back waits far
// longer than a controller takes.
const autoCreateWait = time.Second

// createMissing creates those of the topics that do not exist, as far as r's
// sender may, and waits for their leaders. Why topics are still missing goes
// into failed.
func (a *API) createMissing(r *server.Request, names []string, failed map[string]error) {
	image := a.Images.Load()
	var missing []string
	for _, name := range names {
		if _, ok := image.Topic(name); ok || !a.authorized(r, auth.Describe, auth.Topic, name) {
			continue
		}
		if err := validTopic(name); err != nil {
			failed[name] = err
		} else if !a.authorizedCluster(r, auth.Create) && !a.authorized(r, auth.Create, auth.Topic, name) {
			failed[name] = errTopicDenied
		} else {
			missing = append(missing, name)
		}
	}
	a.create(missing, failed)
}

// errNoLeader is the answer for a topic that was created but has no leader yet.
var errNoLeader = refuse(kerr.LeaderNotAvailable, "the topic has just been created")

// create creates topics with the broker's defaults and waits until they have
// leaders. Failures go into failed.
func (a *API) create(names []string, failed map[string]error) {
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(a.ctx, autoCreateWait)
	defer cancel()
	wait := make(map[string]int) // partitions of the topics that will appear
	for _, t := range a.Admin.AutoCreate(ctx, names) {
		switch t.ErrorCode {
		case 0, kerr.TopicAlreadyExists.Code, kerr.RequestTimedOut.Code:
			wait[t.Topic] = int(t.NumPartitions)
		default:
			failed[t.Topic] = refuse(errorForCode(t.ErrorCode), "the topic could not be created")
		}
	}
	image, _ := a.Images.Await(ctx, func(image *metadata.Image) bool { return allLed(image, wait) })
	for name, n := range wait {
		if !image.Led(name, n) {
			failed[name] = errNoLeader
		}
	}
}

// allLed reports whether each topic has so many partitions, all with leaders.
func allLed(image *metadata.Image, topics map[string]int) bool {
	for name, n := range topics {
		if !image.Led(name, n) {
			return false
		}
	}
	return true
}

// unique returns names without repetitions, in order of first appearance, and
// the names that appear more than once.
func unique(names []string) (once []string, repeated map[string]bool) {
	seen := make(map[string]bool, len(names))
	repeated = make(map[string]bool)
	for _, name := range names {
		if seen[name] {
			repeated[name] = true
			continue
		}
		seen[name] = true
		once = append(once, name)
	}
	return once, repeated
}
