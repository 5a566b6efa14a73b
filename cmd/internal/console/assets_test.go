package console

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"testing"
)

// The files of other projects are exactly those that were released.
func TestVendoredFilesAreUnchanged(t *testing.T) {
	sums, err := embedded.ReadFile("static/vendor/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(sums))
	for lines.Scan() {
		want, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			t.Fatalf("line %q", lines.Text())
		}
		data, err := embedded.ReadFile("static/vendor/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s has the sum %s, want %s", name, got, want)
		}
		checked[name] = true
	}
	notice, err := embedded.ReadFile("static/vendor/NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.ReadDir(embedded, "static/vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch path.Ext(f.Name()) {
		case ".js", ".css":
			if !checked[f.Name()] || !bytes.Contains(notice, []byte(f.Name())) {
				t.Errorf("%s has no checksum or is not in NOTICE", f.Name())
			}
		}
	}
}

// All script and style together stay below 150 KB, compressed.
func TestAssetsAreSmall(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for name, f := range a.files {
		if ext := path.Ext(name); ext != ".js" && ext != ".css" {
			continue
		}
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(f.data); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%-24s %7d bytes, %6d compressed", name, len(f.data), out.Len())
		total += out.Len()
	}
	if total > 150_000 {
		t.Errorf("%d bytes, compressed", total)
	}
}
