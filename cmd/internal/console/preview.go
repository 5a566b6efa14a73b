package console

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/pipelines"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/streamstest"
)

const (
	previewSample = 10              // records of each source
	sampleAge     = 2 * time.Minute // so long, edits are tried on the same records
	maxSamples    = 64
	// previewChoices is how many stretches of records a sample is chosen from:
	// a document that filters makes nothing of most.
	previewChoices = 8
	// Windows close when the input is silent; a step may wait for the one
	// before it.
	previewRounds = 12
	previewIdle   = time.Hour
)

// Preview is what a changed document would make of a few records. The running
// pipeline and its topics are not touched.
type Preview struct {
	Problems []pipelines.Problem `json:"problems"`
	Inputs   []message.Message   `json:"inputs"`
	Outputs  []PreviewOutput     `json:"outputs"`
	Error    string              `json:"error,omitempty"`
}

// PreviewOutput is what goes to a topic.
type PreviewOutput struct {
	Topic   string          `json:"topic"`
	Role    string          `json:"role"`
	Records []PreviewRecord `json:"records"`
}

// PreviewRecord is a result.
type PreviewRecord struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// documentOf reads the document that a form sends.
func documentOf(w http.ResponseWriter, r *http.Request) (string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, 3*pipelines.MaxDocument) // a form escapes each byte with up to three
	if err := r.ParseForm(); err != nil {
		return "", fmt.Errorf("document %w: %w", errQuery, err)
	}
	if !r.PostForm.Has("document") {
		return "", fmt.Errorf("document %w: it is missing", errQuery)
	}
	return r.PostForm.Get("document"), nil
}

// preview lints a document and runs it, without a broker, on samples of its
// sources.
func (c *Console) preview(ctx context.Context, name, document string) (Preview, error) {
	p := Preview{Problems: []pipelines.Problem{}, Inputs: []message.Message{}, Outputs: []PreviewOutput{}}
	plan, problems := pipelines.Load(name+".yaml", []byte(document), pipelines.Options{})
	p.Problems = append(p.Problems, problems...)
	if plan == nil || problems.Err() != nil {
		return p, nil
	}
	for _, t := range plan.Topics {
		if t.Role != pipelines.RoleSource {
			continue
		}
		sample, err := c.sample(ctx, plan, t.Name)
		if err != nil {
			return p, err
		}
		p.Inputs = append(p.Inputs, sample...)
	}
	switch {
	case plan.Topology == nil:
		p.Error = "The document only connects: there is nothing to compute."
	case len(p.Inputs) == 0:
		p.Error = "There is no record in its sources to try it on."
	default:
		var err error
		if p.Outputs, err = tryOut(plan, p.Inputs); err != nil {
			p.Error = err.Error()
		}
	}
	return p, nil
}

// samples keeps the records on which edits are tried, by pipeline and topic.
type samples struct {
	mu   sync.Mutex
	kept map[[2]string]sample
}

type sample struct {
	taken   time.Time
	records []message.Message
}

// sample is a stretch of the newest records of a topic: of a few, the one of
// which the document makes most.
func (c *Console) sample(ctx context.Context, plan *pipelines.Plan, topic string) ([]message.Message, error) {
	key := [2]string{plan.Name, topic}
	c.samples.mu.Lock()
	s, ok := c.samples.kept[key]
	c.samples.mu.Unlock()
	if ok && time.Since(s.taken) < sampleAge {
		return s.records, nil
	}
	answer, err := c.read(ctx, query{topic: topic, partition: -1, limit: previewSample * previewChoices, where: &message.Filter{}})
	if err != nil {
		return nil, err
	}
	best, most := []message.Message{}, -1
	for stretch := range slices.Chunk(answer.Records, previewSample) {
		if n := yield(plan, stretch); n > most {
			best, most = stretch, n
		}
	}
	if len(best) == 0 {
		return best, nil
	}
	c.samples.mu.Lock()
	defer c.samples.mu.Unlock()
	if c.samples.kept == nil || len(c.samples.kept) >= maxSamples {
		c.samples.kept = map[[2]string]sample{}
	}
	c.samples.kept[key] = sample{time.Now(), best}
	return best, nil
}

// yield is how many results a plan makes of records, dead letters aside.
func yield(plan *pipelines.Plan, inputs []message.Message) (n int) {
	if plan.Topology == nil {
		return 0
	}
	outputs, err := tryOut(plan, inputs)
	if err != nil {
		return 0
	}
	for _, out := range outputs {
		if out.Role == string(pipelines.RoleSink) {
			n += len(out.Records)
		}
	}
	return n
}

// trying lets the driver of package streamstest run outside a test: a failure
// ends its goroutine.
type trying struct {
	err      error
	cleanups []func()
}

func (t *trying) Helper()           {}
func (t *trying) Cleanup(fn func()) { t.cleanups = append(t.cleanups, fn) }
func (t *trying) Fatalf(format string, args ...any) {
	t.err = fmt.Errorf(format, args...)
	runtime.Goexit()
}

// tryOut runs a plan on records, until the silence after them has closed all
// windows.
func tryOut(plan *pipelines.Plan, inputs []message.Message) ([]PreviewOutput, error) {
	tb, outputs := &trying{}, []PreviewOutput{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, fn := range slices.Backward(tb.cleanups) {
				fn()
			}
		}()
		outputs, tb.err = drive(tb, plan, inputs)
	}()
	<-done
	return outputs, tb.err
}

func drive(tb *trying, plan *pipelines.Plan, inputs []message.Message) ([]PreviewOutput, error) {
	d := streamstest.New(tb, plan.Topology, streamstest.App(plan.Name), streamstest.Handler(plan.Handler),
		streamstest.DeadLetter(plan.DeadLetter), streamstest.Wall(time.Now().UnixMilli()))
	for _, m := range inputs {
		r, err := recordOf(m)
		if err == nil {
			err = d.TryPipe(r)
		}
		if err != nil {
			return []PreviewOutput{}, err
		}
	}
	for range previewRounds {
		d.AdvanceIdle(previewIdle)
	}
	outputs := []PreviewOutput{}
	for _, t := range plan.Topics {
		if t.Role == pipelines.RoleSource {
			continue
		}
		out := PreviewOutput{Topic: t.Name, Role: string(t.Role), Records: []PreviewRecord{}}
		for _, r := range d.All(t.Name) {
			out.Records = append(out.Records, PreviewRecord{shownText(r.Key), shownText(r.Value)})
		}
		outputs = append(outputs, out)
	}
	return outputs, nil
}

func recordOf(m message.Message) (streamstest.Record, error) {
	r := streamstest.Record{Topic: m.Topic, Partition: -1, Time: m.TimestampMS}
	var errs [2]error
	r.Key, errs[0] = bytesOf(m.Key, m.KeyBase64)
	r.Value, errs[1] = bytesOf(m.Value, m.ValueBase64)
	for _, h := range m.Headers {
		if h.Value != nil {
			r.Headers = append(r.Headers, processor.Header{Key: h.Key, Value: []byte(*h.Value)})
		}
	}
	return r, errors.Join(errs[:]...)
}

// bytesOf is the key or value of a message; nil for null.
func bytesOf(text *string, base string) ([]byte, error) {
	switch {
	case text != nil:
		return []byte(*text), nil
	case base != "":
		return base64.StdEncoding.DecodeString(base)
	}
	return nil, nil
}
