package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The client commands reach a listener that encrypts, with the properties of
// librdkafka and of Kafka's clients; what is wrong with them is told.
func TestTLS(t *testing.T) {
	stores, err := filepath.Abs(filepath.Join("..", "..", "broker", "keystore", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(stores, name) }
	file := writeFile(t, t.TempDir(), "server.properties", "broker.id=0\nlog.dirs="+t.TempDir()+
		"\nlisteners=SSL://localhost:0\nssl.keystore.type=PKCS12\nssl.keystore.location="+at("java.p12")+"\nssl.keystore.password=wasser\n"+
		"listener.name.ssl.ssl.truststore.location="+at("trust.jks")+"\nssl.truststore.password=wasser\nssl.client.auth=required\n")
	s := startServer(t, nil, file, "--admin-addr", "localhost:0")
	pem := []string{"-X", "security.protocol=ssl", "-X", "ssl.ca.location=" + at("ca.pem"),
		"-X", "ssl.certificate.location=" + at("server.pem"), "-X", "ssl.key.location=" + at("encrypted.key"), "-X", "ssl.key.password=wasser"}
	kafka := writeFile(t, t.TempDir(), "client.properties", "security.protocol=SSL\nssl.truststore.location="+at("trust.jks")+"\nssl.truststore.password=wasser\n"+
		"ssl.keystore.location="+at("java.jks")+"\nssl.keystore.password=wasser\nssl.key.password=schluessel\nkey.serializer=x\nacks=all\n")

	mustLeat(t, s.kafka, "", append([]string{"topic", "create", "river"}, pem...)...)
	mustLeat(t, s.kafka, "one\ntwo\n", append([]string{"topic", "produce", "river"}, pem...)...)
	if out := mustLeat(t, s.kafka, "", "topic", "consume", "river", "-o", "start", "--exit-at-end", "--command-config", kafka); out != "one\ntwo\n" {
		t.Errorf("consumed %q", out)
	}
	mustLeat(t, s.kafka, "", append([]string{"perf", "produce", "river", "--raw", "-n", "100"}, pem...)...)
	if out := mustLeat(t, s.kafka, "", append([]string{"perf", "consume", "river", "--raw", "--format", "template={{.records}}"}, pem...)...); !strings.Contains(out, "102") {
		t.Errorf("raw fetches: %q", out)
	}
	if out := mustLeat(t, s.kafka, "", append([]string{"perf", "latency", "river", "--raw", "-n", "50", "--format", "template={{.received}}"}, pem...)...); !strings.Contains(out, "50") {
		t.Errorf("raw latency: %q", out)
	}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitUnreachable, "certificate", pem[:4]},
		{exitUnreachable, "unknown authority", []string{"-X", "security.protocol=ssl"}},
		{exitUsage, "no such file", []string{"-X", "security.protocol=ssl", "-X", "ssl.ca.location=/nowhere.pem"}},
		{exitUsage, "needs security.protocol=ssl", pem[2:4]},
		{exitUsage, "SASL_SSL", []string{"-X", "security.protocol=SASL_SSL"}},
		{exitUsage, "did you mean ssl.ca.location", []string{"-X", "ssl.ca.locatoin=x"}},
		{exitUsage, "no such file", []string{"--client-config", "/nowhere.properties"}},
	} {
		r := leat(t, s.kafka, "", append([]string{"topic", "list", "--timeout", "2s"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.errOut, c.says) {
			t.Errorf("%s: exit %d: %s; want %d and %q", c.args, r.code, r.errOut, c.code, c.says)
		}
	}
	s.stop()
	if code := s.wait(t); code != exitDone {
		t.Errorf("exit %d:\n%s", code, s.log)
	}
}
