package all

import (
	"testing"

	"github.com/leatstream/leat/connect"
)

func TestEveryNameIsUnique(t *testing.T) {
	seen := map[string]string{}
	for _, p := range Plugins() {
		for _, n := range append([]string{p.Name}, p.Aliases...) {
			if other, dup := seen[n]; dup {
				t.Errorf("%s and %s are both called %s", p.Name, other, n)
			}
			seen[n] = p.Name
		}
		if p.Doc == "" || p.Version == "" || p.Config == nil {
			t.Errorf("%s lacks doc, version or config", p.Name)
		}
	}
	for _, class := range []string{"file", "hostmetrics", "activity", "parquet", "FileStreamSource", "org.apache.kafka.connect.file.FileStreamSourceConnector"} {
		if _, ok := seen[class]; !ok {
			t.Errorf("no plugin is called %s", class)
		}
	}
	if (connect.Plugin{}).Is("x") {
		t.Error("an empty plugin answers to a name")
	}
}
