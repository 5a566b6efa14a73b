package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Spec is a document as written. All of it has been read and its shape
// checked; expressions and types have not: see [Lint] and [NewPlan].
type Spec struct {
	File string // as named in problems
	Text string // the document

	Name    string
	params  map[string]param
	sources []sourceSpec
	steps   []stepSpec
	sinks   []sinkSpec
	errors  errorSpec
	tests   []testSpec
}

type param struct {
	typ   Type
	value any
}

type sourceSpec struct {
	name      string
	at        node
	topics    []string
	format    string
	schema    Type
	time      node
	maxFuture time.Duration
	idle      idleSpec
}

// idleSpec says how windows close while a source is quiet; a zero after means
// that they do not.
type idleSpec struct{ after, maxDelay time.Duration }

type stepSpec struct {
	id      string
	at      node
	from    []node
	op      string
	body    node
	onError errorAction
}

// errorAction is what becomes of a record whose step failed.
type errorAction struct {
	action string // fail, drop, dead_letter or to
	to     string // the sink, if action is to
	at     node
}

type sinkSpec struct {
	name string
	at   node
	from []node
	kind string // kafka or parquet
	body node

	topic       string
	partitions  int
	key         node
	format      string
	path        string
	compression string
	roll        rollSpec
}

type rollSpec struct {
	rows             int
	size             int64 // bytes
	age, onIdle      time.Duration
	rowsSet, idleSet bool
}

type errorSpec struct {
	deserialize errorAction
	process     errorAction
	topic       string
	at          node
}

// MaxDocument bounds the size of a document in bytes.
const MaxDocument = 1 << 20

// operators are the kinds of steps.
var operators = []string{"filter", "map", "set", "drop_fields", "parse", "key_by", "branch", "aggregate", "top"}

// Parse reads a document. The Spec is nil if it is no YAML or no mapping;
// otherwise it is as complete as the problems allow.
func Parse(name string, data []byte, opts Options) (*Spec, Problems) {
	r := &report{file: name}
	s := &Spec{File: name, Text: string(data)}
	root, ok := readDocument(r, data)
	if !ok {
		return nil, r.list
	}
	f := root.fields("the document", "pipeline", "params", "env", "sources", "steps", "sinks", "errors", "tests")
	s.readParams(f["params"], opts)
	r.refs = &interpolator{opts: opts, env: map[string]bool{}, params: map[string]string{}}
	for _, name := range f["env"].texts("env") {
		r.refs.env[name] = true
	}
	for name, p := range s.params {
		r.refs.params[name] = toText(p.value)
	}
	s.readHead(f["pipeline"], root)
	s.readSources(f["sources"], root)
	s.readErrors(f["errors"])
	s.readSteps(f["steps"])
	s.readSinks(f["sinks"], root)
	s.readTests(f["tests"])
	r.list.sort()
	return s, r.list
}

func readDocument(r *report, data []byte) (node, bool) {
	if len(data) > MaxDocument {
		r.errorf(pos{1, 1}, "yaml", "", "the document is larger than %d bytes", MaxDocument)
		return node{}, false
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			r.errorf(pos{1, 1}, "yaml", "", "the document is empty")
			return node{}, false
		}
		at, message := yamlError(err)
		r.errorf(at, "yaml", "", "%s", message)
		return node{}, false
	}
	root := node{follow(doc.Content[0]), r}
	if root.y.Kind != yaml.MappingNode {
		r.errorf(root.at(), "yaml-kind", "begin with pipeline: {name: …}", "the document must be a mapping, not %s", kindName(root.y))
		return node{}, false
	}
	return root, true
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func yamlError(err error) (pos, string) {
	at := pos{1, 1}
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		return at, err.Error()
	}
	if m[1] != "" {
		_, _ = fmt.Sscan(m[1], &at.line) // digits, by the pattern
	}
	return at, m[2]
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// name reads an id, which is a part of names of topics and stores.
func checkName(n node, what, name string) {
	if !nameForm.MatchString(name) {
		n.r.errorf(n.at(), "name", "use letters, digits, - and _ (at most 100)", "%s cannot be named %q", what, name)
	}
}

func (s *Spec) readHead(n node, root node) {
	if n.absent() {
		root.r.errorf(root.at(), "missing-key", "add pipeline: {name: …}", "the document has no pipeline")
		return
	}
	f := n.fields("pipeline", "name", "description", "guarantee", "commit_interval")
	s.Name = f["name"].text("name")
	checkName(n, "the pipeline", s.Name)
	f["guarantee"].choice("guarantee", "at_least_once")
	f["commit_interval"].duration("commit_interval")
}

func (s *Spec) readParams(n node, opts Options) {
	s.params = map[string]param{}
	for _, p := range n.mapping("params") {
		f := p.value.fields("param "+p.name, "type", "default")
		kind := f["type"].text("type")
		text, given := opts.Params[p.name]
		if !given {
			text = f["default"].text("default")
			if f["default"].absent() {
				n.r.errorf(p.key.at(), "param", "give it with --param "+p.name+"=…, or a default", "param %s has no value", p.name)
			}
		}
		value, typ, err := paramValue(kind, text)
		if err != nil {
			n.r.errorf(p.value.at(), "param", "", "param %s: %v", p.name, err)
		}
		s.params[p.name] = param{typ: typ, value: value}
	}
	for name := range opts.Params {
		if _, ok := s.params[name]; !ok {
			n.r.errorf(n.at(), "param", didYouMean(name, keys(s.params)), "the document has no param %s", name)
		}
	}
}

// paramValue reads a param. A duration stays text: expressions have no use for
// it, and references put it where a duration is expected.
func paramValue(kind, text string) (any, Type, error) {
	switch kind {
	case "duration":
		_, err := time.ParseDuration(text)
		return text, Type{Kind: KindString}, err
	case "int":
		v, err := decodeInt(text)
		if err != nil {
			return 0, Type{Kind: KindInt}, err
		}
		return v, Type{Kind: KindInt}, nil
	case "float":
		var f float64
		_, err := fmt.Sscan(text, &f)
		return f, Type{Kind: KindFloat}, err
	case "bool":
		return text == "true", Type{Kind: KindBool}, nil
	case "string", "":
		return text, Type{Kind: KindString}, nil
	default:
		return text, Type{Kind: KindString}, fmt.Errorf("no type %q: one of duration, int, float, bool, string", kind)
	}
}

func (s *Spec) readSources(n node, root node) {
	if n.absent() {
		root.r.errorf(root.at(), "missing-key", "add sources: {NAME: {kafka: {topic: …}, …}}", "the document has no sources")
	}
	for _, p := range n.mapping("sources") {
		f := p.value.fields("source "+p.name, "kafka", "format", "schema", "time", "max_future", "idle")
		checkName(p.key, "a source", p.name)
		src := sourceSpec{name: p.name, at: p.key, format: f["format"].choice("format", "json", "text")}
		k := f["kafka"].fields("kafka", "topic", "topics", "brokers")
		src.topics = append(k["topic"].texts("topic"), k["topics"].texts("topics")...)
		if len(src.topics) == 0 {
			n.r.errorf(p.key.at(), "missing-key", "add kafka: {topic: …}", "source %s names no topic", p.name)
		}
		src.schema = readSchema(f["schema"])
		if src.format == "text" && !f["schema"].absent() {
			n.r.errorf(f["schema"].at(), "schema", "use a parse step", "text has no schema")
		}
		if src.format == "json" && f["schema"].absent() {
			n.r.warnf(p.key.at(), "schema", "add schema: {field: type, …}", "source %s declares no fields: expressions can name none", p.name)
		}
		src.time, src.maxFuture = f["time"], f["max_future"].duration("max_future")
		i := f["idle"].fields("idle", "after", "max_delay")
		src.idle = idleSpec{i["after"].duration("after"), i["max_delay"].duration("max_delay")}
		s.sources = append(s.sources, src)
	}
}

func readSchema(n node) Type {
	t := Type{Kind: KindObject}
	for _, p := range n.mapping("schema") {
		text := p.value.text("type")
		ft, err := parseType(text)
		if err != nil {
			fix := didYouMean(text, []string{"int", "float", "string", "bool", "timestamp", "any"})
			n.r.errorf(p.value.at(), "schema", fix, "field %s: %v", p.name, err)
			ft = Type{Kind: KindAny, Nullable: true}
		}
		t.Fields = append(t.Fields, Field{p.name, ft})
	}
	return t
}

func readAction(n node) errorAction {
	a := errorAction{action: "fail", at: n}
	switch {
	case n.absent():
	case n.isScalar():
		a.action = n.choice("on_error", "fail", "drop", "dead_letter")
	default:
		a.action, a.to = "to", n.fields("on_error", "to")["to"].text("to")
	}
	return a
}

func (s *Spec) readErrors(n node) {
	f := n.fields("errors", "deserialize", "process", "dead_letter")
	s.errors = errorSpec{deserialize: readAction(f["deserialize"]), process: readAction(f["process"]), at: n}
	s.errors.topic = f["dead_letter"].fields("dead_letter", "topic")["topic"].text("topic")
	for _, a := range []errorAction{s.errors.deserialize, s.errors.process} {
		if a.action == "to" {
			n.r.errorf(a.at.at(), "on-error", "write fail, drop or dead_letter", "only a step's on_error can name a sink")
		}
	}
}

func (s *Spec) readSteps(n node) {
	seen := map[string]bool{}
	for i, e := range n.list() {
		f := e.fields("a step", append([]string{"id", "from", "on_error"}, operators...)...)
		st := stepSpec{id: f["id"].text("id"), at: e, from: f["from"].list(), onError: readAction(f["on_error"])}
		if f["on_error"].absent() {
			st.onError = s.errors.process
		}
		if st.id == "" {
			st.id = fmt.Sprintf("step-%d", i+1)
			n.r.errorf(e.at(), "missing-key", "add id: NAME; it names stores and topics", "a step has no id")
		}
		checkName(f["id"], "a step", st.id)
		if seen[st.id] {
			n.r.errorf(e.at(), "duplicate-id", "", "there are two steps %s", st.id)
		}
		seen[st.id] = true
		for _, op := range operators {
			if b := f[op]; !b.absent() {
				if st.op != "" {
					n.r.errorf(b.at(), "operator", "make two steps of it", "step %s has both %s and %s", st.id, st.op, op)
				}
				st.op, st.body = op, b
			}
		}
		if st.op == "" {
			n.r.errorf(e.at(), "operator", "add one of: "+strings.Join(operators, ", "), "step %s does nothing", st.id)
		}
		s.steps = append(s.steps, st)
	}
}

func (s *Spec) readSinks(n node, root node) {
	if n.absent() {
		root.r.errorf(root.at(), "missing-key", "add sinks: {NAME: {from: STEP, kafka: {topic: …}}}", "the document has no sinks")
	}
	for _, p := range n.mapping("sinks") {
		f := p.value.fields("sink "+p.name, "from", "kafka", "parquet", "format", "roll")
		checkName(p.key, "a sink", p.name)
		k := sinkSpec{name: p.name, at: p.key, from: f["from"].list(), format: f["format"].choice("format", "json", "text")}
		switch {
		case !f["kafka"].absent():
			k.readKafka(f["kafka"])
		case !f["parquet"].absent():
			k.readParquet(f["parquet"], f["roll"])
		default:
			n.r.errorf(p.key.at(), "missing-key", "add kafka: {topic: …} or parquet: {path: …}", "sink %s writes nowhere", p.name)
		}
		s.sinks = append(s.sinks, k)
	}
}

func (k *sinkSpec) readKafka(n node) {
	k.kind, k.body = "kafka", n
	f := n.fields("kafka", "topic", "key", "partitions", "brokers")
	k.topic, k.key = f["topic"].text("topic"), f["key"]
	if k.topic == "" {
		n.r.errorf(n.at(), "missing-key", "add topic: NAME", "sink %s names no topic", k.name)
	}
	if !f["partitions"].absent() {
		k.partitions = f["partitions"].integer("partitions", 1)
	}
}

func (k *sinkSpec) readParquet(n, roll node) {
	k.kind, k.body = "parquet", n
	f := n.fields("parquet", "path", "compression")
	k.path = f["path"].text("path")
	if k.path == "" {
		n.r.errorf(n.at(), "missing-key", "add path: FOLDER", "sink %s names no folder", k.name)
	}
	k.compression = f["compression"].choice("compression", "zstd", "snappy", "gzip", "none")
	r := roll.fields("roll", "rows", "size", "age", "on_idle")
	if k.roll.rowsSet = !r["rows"].absent(); k.roll.rowsSet {
		k.roll.rows = r["rows"].integer("rows", 1)
	}
	k.roll.size = byteSize(r["size"])
	k.roll.age, k.roll.onIdle = r["age"].duration("age"), r["on_idle"].duration("on_idle")
	k.roll.idleSet = !r["on_idle"].absent()
}

// byteSize reads 128MiB, 64KiB, 10MB or a number of bytes.
func byteSize(n node) int64 {
	text := n.text("size")
	if text == "" {
		return 0
	}
	units := []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}
	i := slices.IndexFunc(units, func(u struct {
		suffix string
		bytes  int64
	}) bool {
		return strings.HasSuffix(text, u.suffix)
	})
	var v int64
	if _, err := fmt.Sscan(strings.TrimSuffix(text, units[i].suffix), &v); err != nil || v <= 0 || v > 1<<40/units[i].bytes {
		n.r.errorf(n.at(), "size", "write it as 128MiB", "%q is not a size", text)
		return 0
	}
	return v * units[i].bytes
}
