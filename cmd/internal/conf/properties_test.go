package conf

import (
	"errors"
	"strings"
	"testing"
)

func TestParseProperties(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Property
	}{
		{"empty", "", nil},
		{"comments and blanks", "# a\n ! b\n\n\t\n", nil},
		{"separators", "a=1\nb:2\nc 3\nd\t=\t4\ne = : 5\nf", []Property{
			{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 4}, {"e", ": 5", 5}, {"f", "", 6}}},
		{"prefix keys live together", "broker.id=1\nbroker.id.generation.enable=true", []Property{
			{"broker.id", "1", 1}, {"broker.id.generation.enable", "true", 2}}},
		{"continuation", "a=x,\\\n    y,\\\r\n\tz\nb=1", []Property{{"a", "x,y,z", 1}, {"b", "1", 4}}},
		{"continued comment is text", "a=1\\\n#2", []Property{{"a", "1#2", 1}}},
		{"blank ends continuation", "a=1\\\n\nb=2", []Property{{"a", "1", 1}, {"b", "2", 3}}},
		{"comment does not continue", "# a\\\nb=2", []Property{{"b", "2", 2}}},
		{"even backslashes do not continue", `a=1\\` + "\nb=2", []Property{{"a", `1\`, 1}, {"b", "2", 2}}},
		{"backslash ends the text", `a=1\`, []Property{{"a", "1", 1}}},
		{"escapes", `a\ b\:c\=d=\t\n\r\f\q\\`, []Property{{"a b:c=d", "\t\n\r\fq\\", 1}}},
		{"unicode", `k\u0041=\u00e9\uD83D\uDE00\ud83dx`, []Property{{"kA", "é😀\uFFFDx", 1}}},
		{"utf-8 as it is", "a=żółw", []Property{{"a", "żółw", 1}}},
		{"old Mac lines", "a=1\rb=2\r", []Property{{"a", "1", 1}, {"b", "2", 2}}},
		{"later wins by order", "a=1\na=2", []Property{{"a", "1", 1}, {"a", "2", 2}}},
		{"url keeps its colon", "listeners=PLAINTEXT://:9092", []Property{{"listeners", "PLAINTEXT://:9092", 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseProperties([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("property %d: got %+v, want %+v", i, got[i], tt.want[i])
				}
			}
		})
	}
}

func TestParsePropertiesErrors(t *testing.T) {
	for _, text := range []string{`a=\u12`, `a=\u12g4`, `\uzzzz=1`, `a=\ud83d\u1`} {
		if _, err := ParseProperties([]byte("ok=1\n" + text)); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: got %v, want a syntax error on line 2", text, err)
		}
	}
	if _, err := ParseProperties(make([]byte, MaxFileSize+1)); !errors.Is(err, ErrSyntax) {
		t.Errorf("oversized text: got %v", err)
	}
}

// escapeAll writes s so that ParseProperties must give back s.
func escapeAll(s string) string {
	r := strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`,
		" ", `\ `, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`)
	return r.Replace(s)
}

func FuzzParseProperties(f *testing.F) {
	f.Add([]byte("a=b\\\n c"), "key", "value")
	f.Add([]byte(`\u0041:\u`), "a b=c", " lead\\")
	f.Add([]byte("\\"), "", "x")
	f.Fuzz(func(t *testing.T, text []byte, key, value string) {
		if props, err := ParseProperties(text); err == nil {
			for i := 1; i < len(props); i++ {
				if props[i-1].Line >= props[i].Line {
					t.Fatalf("lines do not grow: %v", props)
				}
			}
		}
		if key == "" || len(key)+len(value) > 1000 {
			return
		}
		props, err := ParseProperties([]byte(escapeAll(key) + "=" + escapeAll(value) + "\n"))
		if err != nil || len(props) != 1 || props[0].Key != key || props[0].Value != value {
			t.Fatalf("%q=%q came back as %+v, %v", key, value, props, err)
		}
	})
}

func BenchmarkParseProperties(b *testing.B) {
	text := []byte(strings.Repeat("log.retention.hours=168\n# comment\nlisteners=PLAINTEXT://:9092,\\\n  SSL://:9093\n", 50))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseProperties(text); err != nil {
			b.Fatal(err)
		}
	}
}
