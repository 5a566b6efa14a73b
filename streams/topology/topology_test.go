package topology_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/topology"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

func decode() processor.Decoder { return processor.DecoderOf(serde.String, serde.String)() }

func nop() processor.Processor { return nil }

// views is a graph of two sub-topologies with a store.
func views() *topology.Builder {
	b := topology.NewBuilder()
	encode := processor.EncoderOf(serde.String, serde.String)
	b.AddSource(topology.Source{Name: "views", Topics: []string{"page-views"}, Decode: decode})
	b.AddProcessor("by-page", nop, "views")
	b.AddSink(topology.Sink{Name: "by-page-sink", Topic: "by-page-repartition", Encode: encode, Repartition: true}, "by-page")
	b.AddSource(topology.Source{Name: "by-page-source", Topics: []string{"by-page-repartition"}, Decode: decode, Repartition: true})
	b.AddProcessor("count", nop, "by-page-source")
	b.AddStore(processor.StoreSpec{Name: "counts", Kind: processor.WindowStore, Retention: time.Hour}, "count")
	b.AddSink(topology.Sink{Name: "out", Topic: "page-stats", Encode: encode}, "count")
	return b
}

func TestGolden(t *testing.T) {
	topo, err := views().Build()
	if err != nil {
		t.Fatal(err)
	}
	json, err := topo.JSON("app")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"views.txt": topo.Describe(), "views.mermaid": topo.Mermaid("app"), "views.dot": topo.DOT("app"), "views.json": string(json),
	} {
		file := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s (%v):\n%s\nrun the test with -rewrite if this is right", name, err, got)
		}
	}
}

func TestSubTopologiesAndInternalTopics(t *testing.T) {
	topo, err := views().Build()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range topo.Subs() {
		got = append(got, strings.Join(s.Topics("app"), "+"))
	}
	if want := []string{"app-by-page-repartition", "page-views"}; !slices.Equal(got, want) {
		t.Errorf("inputs %v, want %v", got, want)
	}
	topics := topo.InternalTopics("app")
	if len(topics) != 2 || topics[0].Name != "app-by-page-repartition" || topics[1].Name != "app-counts-changelog" {
		t.Fatalf("internal topics %+v", topics)
	}
	if c := topics[1].Config; c["cleanup.policy"] != "compact,delete" || c["retention.ms"] != "90000000" {
		t.Errorf("changelog config %v", c)
	}
}

func TestMistakesAreReportedTogether(t *testing.T) {
	encode := processor.EncoderOf(serde.String, serde.String)
	for _, c := range []struct {
		name  string
		spoil func(b *topology.Builder)
		want  string
	}{
		{"duplicate node", func(b *topology.Builder) { b.AddProcessor("count", nop, "views") }, "processor count is already added"},
		{"missing parent", func(b *topology.Builder) { b.AddProcessor("x", nop, "nowhere") }, "parent nowhere of x is not added"},
		{"child of a sink", func(b *topology.Builder) { b.AddProcessor("x", nop, "out") }, "sink out cannot be the parent of x"},
		{"topic read twice", func(b *topology.Builder) {
			b.AddSource(topology.Source{Name: "again", Topics: []string{"page-views"}, Decode: decode})
		}, "topic page-views is read by source views and by source again"},
		{"duplicate store", func(b *topology.Builder) { b.AddStore(processor.StoreSpec{Name: "counts"}, "by-page") }, "store counts is already added"},
		{"unused store", func(b *topology.Builder) { b.AddStore(processor.StoreSpec{Name: "idle"}) }, "store idle is used by no processor"},
		{"bad store name", func(b *topology.Builder) { b.AddStore(processor.StoreSpec{Name: "a b"}, "count") }, `store name "a b"`},
		{"store of a source", func(b *topology.Builder) { b.Connect("counts", "views") }, "views is not a processor"},
		{"no topic", func(b *topology.Builder) { b.AddSink(topology.Sink{Name: "x", Encode: encode}, "count") }, "sink x has no topic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := views()
			c.spoil(b)
			b.Invalid("and another mistake")
			_, err := b.Build()
			if !errors.Is(err, topology.ErrInvalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "another mistake") {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	b := views()
	b.AddSink(topology.Sink{Name: "lost", Topic: "lost-repartition", Encode: encode, Repartition: true}, "count")
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "repartition topic lost-repartition is written and not read") {
		t.Errorf("unread repartition topic: %v", err)
	}
	if _, err := topology.NewBuilder().Build(); !errors.Is(err, topology.ErrInvalid) {
		t.Errorf("empty topology: %v", err)
	}
}

func TestLintNamesWhatRenamingWouldLose(t *testing.T) {
	b := topology.NewBuilder()
	b.AddSource(topology.Source{Name: "in", Topics: []string{"in"}, Decode: decode})
	b.AddProcessor("p", nop, "in")
	b.AddStore(processor.StoreSpec{Name: b.NextName("KSTREAM-AGGREGATE-STATE-STORE-")}, "p")
	b.AddSource(topology.Source{Name: "spare", Topics: []string{"spare"}, Decode: decode})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, i := range topo.Lint() {
		codes = append(codes, i.Code+" "+i.Node)
	}
	if want := []string{"unnamed-store p", "unused-source spare"}; !slices.Equal(codes, want) {
		t.Errorf("lint %v, want %v", codes, want)
	}
}
