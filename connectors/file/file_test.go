package file

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/connecttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func props(dir string, more ...string) map[string]string {
	p := map[string]string{"topic": "logs", "path": filepath.Join(dir, "app.log*"), "scan.interval.ms": "20", "rotate.wait.ms": "200", "host": "h1"}
	for i := 0; i+1 < len(more); i += 2 {
		p[more[i]] = more[i+1]
	}
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func texts(rs []*connect.SourceRecord) string {
	var out []string
	for _, r := range rs {
		out = append(out, r.Value.(string))
	}
	return strings.Join(out, ",")
}

func expect(t *testing.T, s *connecttest.Source, want string) []*connect.SourceRecord {
	t.Helper()
	rs := s.Next(strings.Count(want, ",") + 1)
	if got := texts(rs); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	return rs
}

func nothing(t *testing.T, s *connecttest.Source) {
	t.Helper()
	if rs := s.Poll(100 * time.Millisecond); len(rs) > 0 {
		t.Fatalf("got %q, want nothing", texts(rs))
	}
}

func header(t *testing.T, r *connect.SourceRecord, name string) string {
	t.Helper()
	h, ok := r.Header(name)
	if !ok {
		return ""
	}
	return h.Value.(string)
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app.log"), "a\nb\nc\nd\n")
	connecttest.CheckSource(t, Plugin(), props(dir))
}

func TestTailWaitsForTheEndOfALine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "one\r\ntw")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	rs := expect(t, s, "one")
	for name, want := range map[string]string{"host.name": "h1", "log.file.path": path, "log.file.offset": "0"} {
		if got := header(t, rs[0], name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	nothing(t, s)
	write(t, path, "o\nthree\n")
	rs = expect(t, s, "two,three")
	if got := header(t, rs[0], "log.file.offset"); got != "5" {
		t.Errorf("offset of the second line is %s, want 5", got)
	}
}

func TestRestartGoesOnBehindTheStoredLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "1\n2\n3\n")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	rs := expect(t, s, "1,2,3")
	s.Store(rs[:2])
	s.Restart()
	s.Store(expect(t, s, "3"))
	write(t, path, "4\n")
	s.Restart()
	s.Store(expect(t, s, "4"))
	s.Restart()
	nothing(t, s)
}

func TestRotationByRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	for _, pattern := range []string{"app.log", "app.log*"} {
		t.Run(pattern, func(t *testing.T) {
			defer os.RemoveAll(path + ".1")
			defer os.RemoveAll(path)
			write(t, path, "1\n2\n")
			s := connecttest.StartSource(t, Plugin(), props(dir, "path", filepath.Join(dir, pattern)))
			s.Store(expect(t, s, "1,2"))
			write(t, path, "3\n")
			must(t, os.Rename(path, path+".1"))
			write(t, path+".1", "4\n") // the writer has not reopened yet
			write(t, path, "5\n")
			s.Store(expect(t, s, "3,4,5"))
			nothing(t, s)
			if pattern == "app.log*" { // what was written while nobody looked
				s.Stop()
				must(t, os.Rename(path, path+".2"))
				write(t, path+".2", "6\n")
				write(t, path, "7\n")
				s.Restart()
				got := texts(s.Next(2))
				if got != "6,7" && got != "7,6" {
					t.Errorf("after the restart: %s", got)
				}
				must(t, os.Remove(path+".2"))
			}
		})
	}
}

func TestRotationByCopyAndTruncate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	for _, pattern := range []string{"app.log", "app.log*"} {
		t.Run(pattern, func(t *testing.T) {
			defer os.RemoveAll(path + ".1")
			defer os.RemoveAll(path)
			write(t, path, "one\ntwo\n")
			s := connecttest.StartSource(t, Plugin(), props(dir, "path", filepath.Join(dir, pattern)))
			expect(t, s, "one,two")
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path+".1", b, 0o644))
			must(t, os.Truncate(path, 0))
			nothing(t, s)
			write(t, path, "three\n")
			expect(t, s, "three")
			nothing(t, s)
		})
	}
}

// The refilled file is longer than what was read of the old one, so its size
// does not tell.
func TestTruncatedAndRefilled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "one\n")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	expect(t, s, "one")
	nothing(t, s)
	must(t, os.WriteFile(path, []byte("another\nand more\n"), 0o644))
	expect(t, s, "another,and more")
}

func TestTruncationWhileStopped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "one\ntwo\n")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	s.Store(expect(t, s, "one,two"))
	s.Stop()
	write(t, path, "three\n")
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path+".1", b, 0o644))
	must(t, os.WriteFile(path, []byte("4\n"), 0o644))
	s.Restart()
	if got := texts(s.Next(2)); got != "4,three" && got != "three,4" {
		t.Errorf("got %s", got)
	}
	nothing(t, s)
}

// A new file may get the inode of one that was deleted.
func TestReusedInodeStartsOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "old 1\nold 2\n")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	s.Store(expect(t, s, "old 1,old 2"))
	s.Stop()
	// Same inode, other content: what a reused inode looks like.
	must(t, os.WriteFile(path, []byte("new 1\nnew 2\nnew 3\n"), 0o644))
	s.Restart()
	expect(t, s, "new 1,new 2,new 3")
}

func TestEqualBeginningsStayTwoFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app.log.a"), "same\n1\n")
	write(t, filepath.Join(dir, "app.log.b"), "same\n2\n")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	s.Store(expect(t, s, "same,1,same,2"))
	write(t, filepath.Join(dir, "app.log.b"), "3\n")
	s.Restart()
	expect(t, s, "3")
}

func TestHalfLineOfADeletedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "one\nhalf")
	s := connecttest.StartSource(t, Plugin(), props(dir))
	expect(t, s, "one")
	must(t, os.Remove(path))
	rs := expect(t, s, "half")
	if header(t, rs[0], "partial") != "true" {
		t.Error("the half line is not marked")
	}
}

func TestMultiline(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "E first\n  at a\n  at b\nE second\n  at c\n")
	s := connecttest.StartSource(t, Plugin(), props(dir, "multiline.pattern", "^E ", "multiline.timeout.ms", "150"))
	rs := expect(t, s, "E first\n  at a\n  at b,E second\n  at c")
	s.Store(rs[:1])
	s.Restart()
	expect(t, s, "E second\n  at c")
}

func TestLongLinesAreCut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	long := strings.Repeat("x", 300_000)
	write(t, path, "a\n"+long+"\nb\n"+strings.Repeat("y", 20)+"\nc\n")
	s := connecttest.StartSource(t, Plugin(), props(dir, "max.line.bytes", "16"))
	rs := expect(t, s, "a,"+long[:16]+",b,yyyyyyyyyyyyyyyy,c")
	if header(t, rs[1], "truncated") != "true" || header(t, rs[2], "truncated") != "" {
		t.Error("exactly the cut lines must be marked")
	}
	if got, want := header(t, rs[2], "log.file.offset"), fmt.Sprint(2+300_001); got != want {
		t.Errorf("offset after the long line is %s, want %s", got, want)
	}
}

func TestInvalidTextIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "\xEF\xBB\xBFa\xffb\n")
	expect(t, connecttest.StartSource(t, Plugin(), props(dir)), "a\uFFFDb")
	expect(t, connecttest.StartSource(t, Plugin(), props(dir, "encoding", "latin-1", "path", path)), "ï»¿aÿb")
}

func TestStartAtEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "old\n")
	s := connecttest.StartSource(t, Plugin(), props(dir, "start.position", "end"))
	nothing(t, s)
	write(t, path, "new\n")
	write(t, path+".2", "born later\n")
	if got := texts(s.Next(2)); got != "new,born later" && got != "born later,new" {
		t.Errorf("got %s", got)
	}
}

func TestTakesOverFileStreamSource(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, "one\ntwo\n")
	s := connecttest.StartSource(t, Plugin(), map[string]string{"topic": "t", "file": path, "start.position": "end"})
	s.SetOffset(map[string]any{"filename": path}, map[string]any{"position": int64(4)})
	s.Restart()
	expect(t, s, "two")
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a/*.log", "/a/x.log", true},
		{"/a/*.log", "/a/b/x.log", false},
		{"/a/**/*.log", "/a/x.log", true},
		{"/a/**/*.log", "/a/b/c/x.log", true},
		{"/a/**", "/a/b/c", true},
		{"/a/x?[0-9].log", "/a/xy7.log", true},
		{"/a/x[!0-9]", "/a/x7", false},
		{"/a/x+(1)", "/a/x+(1)", true},
	} {
		re, err := globRegexp(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := re.MatchString(c.path); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.path, got)
		}
	}
	if got := baseDir("/a/b/c*/d"); got != "/a/b" {
		t.Errorf("base is %s", got)
	}
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "x", "y"), 0o755))
	for _, n := range []string{"a.log", "x/b.log", "x/y/c.log", "x/y/c.gz"} {
		write(t, filepath.Join(dir, n), "1\n")
	}
	re, _ := globRegexp("b.*")
	got, more := scan([]string{filepath.Join(dir, "**/*.log")}, []*regexp.Regexp{re}, 10)
	if len(got) != 2 || more {
		t.Errorf("found %v, more %v", got, more)
	}
	if got, more = scan([]string{filepath.Join(dir, "**")}, nil, 2); len(got) != 2 || !more {
		t.Errorf("found %v, more %v", got, more)
	}
}
