package console

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestTexts(t *testing.T) {
	for got, want := range map[string]string{
		integer(0): "0", integer(999): "999", integer(1000): "1,000", integer(12345678): "12,345,678", integer(-1): "–",
		perSecond(0.25): "0.2/s", perSecond(1234.4): "1,234/s", perSecond(20500): "20.5k/s", perSecond(2.5e6): "2.50M/s",
		count(1, "broker"): "1 broker", count(3, "topic"): "3 topics",
		lagTime(0, 0): "caught up", lagTime(10, 0): "standing still", lagTime(10, 100): "under 1 s behind", lagTime(1000, 100): "about 10 s behind",
		lagTime(360_000, 100): "about 60 min behind", lagTime(3_600_000, 100): "about 10 h behind",
		shellQuote("a-b.c"): "a-b.c", shellQuote("it's"): `'it'\''s'`, shellQuote(""): "''",
		shorten("abcdef", 4): "abc…", shorten("äöü", 3): "äöü",
		cell([]byte(`"text"`)): "text", cell([]byte("3.14159")): "3.14", cell([]byte("12345678901")): "12345678901", cell(nil): "–", cell([]byte(`""`)): "",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Painted text is the text: nothing is lost, and nothing becomes markup.
func FuzzPaint(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[true,null,-1.5e3],"c":"<b>\"x\""}`, "<script>alert(1)</script>", "{", `["`, `["\`, "key: value # c\n- {a: b}\n", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		var text strings.Builder
		z := html.NewTokenizer(strings.NewReader(string(paintYAML(s))))
		for z.Next() != html.ErrorToken {
			token := z.Token()
			switch {
			case token.Type == html.TextToken:
				text.WriteString(token.Data)
			case token.Data != "span":
				t.Fatalf("%q became the element %s", s, token.Data)
			}
		}
		if want := strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"); text.String() != want && !strings.ContainsRune(s, 0) {
			t.Fatalf("%q shows as %q", s, text.String())
		}
	})
}
