package testbed

import (
	"strings"
	"testing"
)

func TestKafkaToolsTalkToKafka(t *testing.T) {
	for _, version := range []string{"3.9", "4.3"} {
		t.Run(version, func(t *testing.T) {
			addr := Kafka(t, version)
			KafkaTool(t, version, "", "kafka-topics", "--bootstrap-server", addr, "--create", "--topic", "river")
			Kcat(t, "one\ntwo\n", "-P", "-b", addr, "-t", "river")
			got := KafkaTool(t, version, "", "kafka-console-consumer", "--bootstrap-server", addr, "--topic", "river", "--from-beginning", "--max-messages", "2")
			if got != "one\ntwo\n" {
				t.Errorf("consumed %q", got)
			}
		})
	}
}

func TestHDFSAnswers(t *testing.T) {
	rpc, http := HDFS(t, 1)
	if !Answers(rpc) || !Answers(http) {
		t.Error("no answer")
	}
}

func TestPythonReadsParquetLibraries(t *testing.T) {
	if got := Python(t, "import duckdb, pyarrow; print(duckdb.sql('select 6*7').fetchall()[0][0])"); strings.TrimSpace(got) != "42" {
		t.Errorf("got %q", got)
	}
}
