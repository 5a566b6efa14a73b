package pipelines

import "testing"

func TestReadyPipelinesAreCleanAndPassTheirTests(t *testing.T) {
	if len(Ready()) != 4 {
		t.Errorf("ready pipelines: %v", Ready())
	}
	for _, name := range Ready() {
		t.Run(name, func(t *testing.T) {
			doc, err := ReadyDocument(name)
			if err != nil {
				t.Fatal(err)
			}
			results, problems := Test(name+"/pipeline.yaml", doc, Options{})
			for _, p := range problems {
				t.Error(p)
			}
			if len(results) == 0 {
				t.Error("it has no tests")
			}
			for _, r := range results {
				for _, f := range r.Failures {
					t.Errorf("%s: %s", r.Name, f)
				}
			}
		})
	}
}
