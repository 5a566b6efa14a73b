package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A pipeline that counts words, with a place for a filter, a step and what its
// test expects.
const wordsPipeline = `pipeline: {name: words}
sources:
  lines: {kafka: {topic: words-in}, format: json, schema: {word: string, n: int, at: timestamp}, time: value.at, idle: {after: 200ms}}
steps:
  - {id: some, filter: "%s"}
  - {id: by-word, key_by: value.word}
  - {id: counts, aggregate: {window: {tumbling: 1s}, emit: on_close, fields: {word: first(value.word), sum: sum(value.n)}}}
sinks:
  out: {from: counts, kafka: {topic: words-out}}
tests:
  - name: a word is summed
    given: {lines: [{value: {word: a, n: 1, at: "2026-01-01T00:00:00Z"}}, {value: {word: a, n: 2, at: "2026-01-01T00:00:00Z"}}]}
    expect: {out: [{value: {word: a, sum: %d}, match: subset}]}
`

// words writes the pipeline into a folder of its own and goes there, so that
// messages name it without a folder.
func words(t *testing.T, filter string, sum int) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir, "words.yaml", fmt.Sprintf(wordsPipeline, filter, sum))
	t.Chdir(dir)
}

// goldenHere is golden for tests that changed the folder.
func goldenHere(t *testing.T, home, name, got string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(home); err != nil {
		t.Fatal(err)
	}
	golden(t, name, got)
	if err := os.Chdir(here); err != nil {
		t.Fatal(err)
	}
}

func TestPipelineList(t *testing.T) {
	golden(t, "pipeline-list.json", mustLeat(t, "", "", "pipeline", "list", "--format", "json"))
	golden(t, "pipeline-list.txt", mustLeat(t, "", "", "pipeline", "ls"))
	if out := mustLeat(t, "", "", "pipelines", "list", "-o", "name"); out != "access-log\nactivity-per-minute\nhost-metrics\ntrending-searches\n" {
		t.Errorf("names: %q", out)
	}
}

// Each document gives the same verdict in words and in JSON, and its exit code.
func TestPipelineLintAndTest(t *testing.T) {
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, verb, filter string
		sum, code          int
		out, errOut        string // contained in the text form
	}{
		{"lint-fine", "lint", "value.n > 0", 3, exitDone, "", "1 pipeline is fine\n"},
		{"lint-typo", "lint", "value.wrd != ''", 3, exitUsage, "words.yaml:5:", "leat: 1 problem in 1 pipeline\n"},
		{"test-passes", "test", "value.n > 0", 3, exitDone, "ok   words.yaml:11 a word is summed\n", ""},
		{"test-fails", "test", "value.n > 1", 3, exitFailed, "FAIL words.yaml:11 a word is summed\n     ", "leat: 1 of 1 tests failed\n"},
		{"test-typo", "test", "value.wrd != ''", 3, exitUsage, "words.yaml:5:", "leat: 1 problem in 1 pipeline\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			words(t, tt.filter, tt.sum)
			text := leat(t, "", "", "pipeline", tt.verb, "words.yaml")
			if text.code != tt.code || !strings.Contains(text.out, tt.out) || !strings.Contains(text.errOut, tt.errOut) {
				t.Errorf("text: exit %d, want %d\n%s%s", text.code, tt.code, text.out, text.errOut)
			}
			document := leat(t, "", "", "pipeline", tt.verb, "words.yaml", "--format", "json")
			if document.code != tt.code {
				t.Errorf("JSON: exit %d, want %d", document.code, tt.code)
			}
			goldenHere(t, home, "pipeline-"+tt.name+".json", document.out)
		})
	}
}

func TestPipelineGraph(t *testing.T) {
	for as, want := range map[string]string{
		"text": "Topologies:\n", "mermaid": "flowchart", "dot": "digraph", "json": "{",
	} {
		if out := mustLeat(t, "", "", "pipeline", "graph", "trending-searches", "--as", as); !strings.HasPrefix(out, want) {
			t.Errorf("%s: %.80q", as, out)
		}
	}
	golden(t, "pipeline-graph.json", mustLeat(t, "", "", "pipeline", "graph", "trending-searches", "--format", "json"))
}

func TestPipelineErrors(t *testing.T) {
	words(t, "value.n > 0", 3)
	for _, tt := range []struct {
		line string
		code int
		want string
	}{
		{"pipeline lint nothing.yaml", exitNotFound, "→ run: leat pipeline list"},
		{"pipeline lint words.yaml --param window", exitUsage, "--param window: want name=value"},
		{"pipeline lint words.yaml --param window=1s", exitUsage, "1 problem in 1 pipeline"},
		{"pipeline graph words.yaml --as picture", exitUsage, "one of text, mermaid, dot, json"},
		{"pipeline run words.yaml -X sesion.timeout.ms=1", exitUsage, "did you mean session.timeout.ms?"},
		{"pipeline run words.yaml -b 127.0.0.1:1", exitUnreachable, "cannot reach a broker at 127.0.0.1:1"},
	} {
		r := leat(t, "", "", strings.Fields(tt.line)...)
		if r.code != tt.code || !strings.Contains(r.errOut, tt.want) {
			t.Errorf("%s: exit %d, want %d\n%s", tt.line, r.code, tt.code, r.errOut)
		}
	}
}

// A pipeline makes its topics, writes what its windows hold, and stops in order.
func TestPipelineRun(t *testing.T) {
	addr := fake(t)
	words(t, "value.n > 0", 3)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	log, code := new(lockedBuffer), make(chan int, 1)
	go func() {
		code <- newApp([]string{"LEAT_BOOTSTRAP_SERVER=" + addr}, nil, log, log).run(ctx,
			[]string{"pipeline", "run", "words.yaml", "--state-dir", filepath.Join(t.TempDir(), "state"), "-X", "session.timeout.ms=6000"})
	}()
	eventually(t, "topics", func() bool { return leat(t, addr, "", "topic", "describe", "words-in").code == 0 })
	mustLeat(t, addr, `{"word":"b","n":4,"at":"2026-01-01T00:00:00Z"}`+"\n"+`{"word":"b","n":5,"at":"2026-01-01T00:00:00Z"}`+"\n", "topic", "produce", "words-in")
	if out := mustLeat(t, addr, "", "topic", "consume", "words-out", "-o", "start", "-n", "1"); out != `{"word":"b","sum":9}`+"\n" {
		t.Errorf("window: %q", out)
	}
	cancel()
	if got := <-code; got != exitDone {
		t.Errorf("exit %d\n%s", got, log)
	}
}
