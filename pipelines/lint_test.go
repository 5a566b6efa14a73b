package pipelines

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// Each testdata/lint/NAME.yaml has its problems in NAME.txt, one per line.
func TestLintGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, p := range Lint(filepath.Base(file), doc, Options{}) {
				got.WriteString(string(p.Severity) + " " + p.String() + "\n")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
		})
	}
}

func FuzzLint(f *testing.F) {
	for _, name := range Ready() {
		doc, err := ReadyDocument(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	files, _ := filepath.Glob("testdata/lint/*.yaml")
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		plan, problems := Load("fuzz.yaml", doc, Options{})
		if (plan == nil) != (problems.Err() != nil) {
			t.Errorf("plan %v with problems %v", plan, problems)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 {
				t.Errorf("position of %v", p)
			}
		}
	})
}
