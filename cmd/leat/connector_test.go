package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConnectorList(t *testing.T) {
	golden(t, "connector-list.json", mustLeat(t, "", "", "connector", "list", "--format", "json"))
	if out := mustLeat(t, "", "", "connector", "list", "-o", "name"); !strings.Contains(out, "file\n") || !strings.Contains(out, "parquet\n") {
		t.Errorf("names: %q", out)
	}
	r := leat(t, "", "", "connector", "list", "--worker", "127.0.0.1:1")
	if r.code != exitUnreachable || !strings.Contains(r.errOut, "cannot reach a worker at 127.0.0.1:1") {
		t.Errorf("no worker: %+v", r)
	}
}

// A file connector writes the lines of a file, tells its state, and stops.
func TestConnectorRun(t *testing.T) {
	addr, dir := fake(t), t.TempDir()
	input := writeFile(t, dir, "input.txt", "first\nsecond\n")
	worker := writeFile(t, dir, "worker.properties", "bootstrap.servers="+addr+"\nkey.converter=string\nvalue.converter=string\n"+
		"offset.storage.file.filename="+filepath.Join(dir, "offsets")+"\n")
	connector := writeFile(t, dir, "file.json", `{"name": "lines", "config": {"connector.class": "file", "topic": "lines", "path": "`+input+`"}}`)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	log, code := new(lockedBuffer), make(chan int, 1)
	go func() {
		code <- newApp(nil, nil, io.Discard, log).run(ctx, []string{"connector", "run", worker, connector})
	}()
	eventually(t, "topic", func() bool { return leat(t, addr, "", "topic", "describe", "lines").code == 0 })
	if out := mustLeat(t, addr, "", "topic", "consume", "lines", "-o", "start", "-n", "2"); out != "first\nsecond\n" {
		t.Errorf("got %q", out)
	}
	admin := regexp.MustCompile(`"admin":"([^"]+)"`).FindStringSubmatch(log.String())
	if admin == nil {
		t.Fatalf("no admin address in\n%s", log)
	}
	var states []connectorState
	if err := json.Unmarshal([]byte(mustLeat(t, "", "", "connector", "list", "--worker", admin[1], "-o", "json")), &states); err != nil {
		t.Fatal(err)
	}
	if len(states) != 1 || states[0].Connector != "lines" || states[0].Type != "source" || states[0].State != "RUNNING" || states[0].Running != 1 {
		t.Errorf("states %+v", states)
	}
	if got := fetch(t, "http://"+admin[1]+"/readyz?verbose"); !strings.Contains(got, "[+] connectors: ok") {
		t.Errorf("readyz: %s", got)
	}
	cancel()
	if got := <-code; got != exitDone {
		t.Errorf("exit %d:\n%s", got, log)
	}
}

func TestConnectorRunRefuses(t *testing.T) {
	dir := t.TempDir()
	worker := writeFile(t, dir, "worker.properties", "offset.storage.file.filename="+filepath.Join(dir, "offsets")+"\n")
	tests := []struct {
		connector string // content of a JSON file, or a path
		code      int
		want      string
	}{
		{dir + "/none.properties", exitNotFound, "no such file"},
		{`{"name": "x", "config": {"connector.class": "fiel"}}`, exitUsage, "fiel"},
		{`{"connector.class": "file", "topic": "t"}`, exitUsage, "name"},
		{`{"name": 3}`, exitUsage, "syntax error"},
		{`[`, exitUsage, "syntax error"},
	}
	for _, tt := range tests {
		file := tt.connector
		if !strings.HasPrefix(file, "/") {
			file = writeFile(t, dir, "c.json", tt.connector)
		}
		r := leat(t, "", "", "connector", "run", worker, file)
		if r.code != tt.code || !strings.Contains(r.errOut, tt.want) {
			t.Errorf("%s: exit %d, want %d with %q\n%s", tt.connector, r.code, tt.code, tt.want, r.errOut)
		}
	}
}
