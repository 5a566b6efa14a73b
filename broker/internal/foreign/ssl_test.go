package foreign

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/certtest"
	"github.com/leatstream/leat/deploy/testbed"
)

// sslServer is a broker with the listeners SSL and MUTUAL, which wants
// certificates of clients.
type sslServer struct {
	*testbed.Server
	ssl, mutual string // addresses
}

func startSSL(t *testing.T, properties map[string]string) sslServer {
	t.Helper()
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", testbed.FreePort(t)) }
	s := sslServer{ssl: at(), mutual: at()}
	p := map[string]string{
		"listeners":                            "PLAINTEXT://" + at() + ",SSL://" + s.ssl + ",MUTUAL://" + s.mutual,
		"listener.security.protocol.map":       "PLAINTEXT:PLAINTEXT,SSL:SSL,MUTUAL:SSL",
		"listener.name.mutual.ssl.client.auth": "required",
	}
	maps.Copy(p, properties)
	var args []string
	for _, key := range slices.Sorted(maps.Keys(p)) {
		args = append(args, "--override", key+"="+p[key])
	}
	s.Server = testbed.StartServer(t, t.TempDir(), testbed.NoPort, args...)
	return s
}

// store is a file of the tests of package keystore: a key and certificate for
// localhost and 127.0.0.1, and those of its authority.
func store(name string) string {
	return filepath.Join(testbed.Root(), "broker", "keystore", "testdata", name)
}

func javaStores() map[string]string {
	return map[string]string{
		"ssl.keystore.type": "PKCS12", "ssl.keystore.location": store("java.p12"), "ssl.keystore.password": "wasser",
		"ssl.truststore.type": "PKCS12", "ssl.truststore.location": store("trust.p12"), "ssl.truststore.password": "wasser",
		"listener.name.mutual.ssl.keystore.type": "JKS", "listener.name.mutual.ssl.keystore.location": store("java.jks"),
		"listener.name.mutual.ssl.key.password":    "schluessel",
		"listener.name.mutual.ssl.truststore.type": "JKS", "listener.name.mutual.ssl.truststore.location": store("trust.jks"),
	}
}

// sslPeer is a client with its properties, at one of the listeners.
type sslPeer struct {
	name   string
	mutual bool
	java   string // the version of Apache Kafka; "" for kcat
	codecs []string
	config map[string]string
}

func sslPeers() []sslPeer {
	jksKey := map[string]string{"ssl.keystore.location": store("java.jks"), "ssl.keystore.password": "wasser", "ssl.key.password": "schluessel"}
	with := func(base map[string]string, more ...string) map[string]string {
		out := map[string]string{"security.protocol": "SSL"}
		maps.Copy(out, base)
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	jks := []string{"ssl.truststore.location", store("trust.jks"), "ssl.truststore.password", "wasser"}
	p12 := []string{"ssl.truststore.type", "PKCS12", "ssl.truststore.location", store("trust.p12"), "ssl.truststore.password", "wasser"}
	pem := []string{"ssl.truststore.type", "PEM", "ssl.truststore.location", store("ca.pem")}
	return []sslPeer{
		{"kcat", false, "", codecs(), with(nil, "ssl.ca.location", store("ca.pem"))},
		{"kcat-mutual", true, "", codecs()[:2], with(nil, "ssl.ca.location", store("ca.pem"), "ssl.keystore.location", store("openssl.p12"), "ssl.keystore.password", "wasser")},
		{"java-3.9-jks", false, "3.9", []string{"gzip", "zstd"}, with(nil, jks...)},
		{"java-3.9-mutual", true, "3.9", []string{"none"}, with(jksKey, p12...)},
		{"java-4.3-pkcs12", false, "4.3", []string{"snappy", "lz4"}, with(nil, p12...)},
		{"java-4.3-mutual", true, "4.3", []string{"none"}, with(jksKey, pem...)},
	}
}

func (p sslPeer) component() string {
	if p.java == "" {
		return "kcat"
	}
	return "kafka-" + p.java
}

func (s sslServer) addr(p sslPeer) string {
	if p.mutual {
		return s.mutual
	}
	return s.ssl
}

// kcat are the properties as arguments.
func (p sslPeer) kcat(addr string) []string {
	args := []string{"-b", addr}
	for _, key := range slices.Sorted(maps.Keys(p.config)) {
		args = append(args, "-X", key+"="+p.config[key])
	}
	return args
}

// file writes the properties for Java's tools.
func (p sslPeer) file(t *testing.T) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p.config)) {
		fmt.Fprintf(&b, "%s=%s\n", key, p.config[key])
	}
	path := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p sslPeer) produce(t *testing.T, addr, topic, codec string, values []string) {
	if p.java == "" {
		testbed.Kcat(t, text(values), append(p.kcat(addr), "-P", "-t", topic, "-z", codec, "-X", "acks=all")...)
		return
	}
	testbed.KafkaTool(t, p.java, text(values), "kafka-console-producer", "--bootstrap-server", addr, "--topic", topic,
		"--compression-codec", codec, "--request-required-acks", "all", p.configFlag("producer"), p.file(t))
}

func (p sslPeer) configFlag(kind string) string {
	if p.java == "4.3" {
		return "--command-config"
	}
	return "--" + kind + ".config"
}

func (p sslPeer) consume(t *testing.T, addr, group string, topics []string, count int) []string {
	if p.java == "" {
		args := append(p.kcat(addr), "-q", "-e", "-X", "auto.offset.reset=earliest", "-f", "%s\n", "-G", group)
		return split(testbed.Kcat(t, "", append(args, topics...)...))
	}
	return split(testbed.KafkaTool(t, p.java, "", "kafka-console-consumer", "--bootstrap-server", addr, "--group", group,
		"--include", strings.Join(topics, "|"), "--from-beginning", "--max-messages", strconv.Itoa(count), "--timeout-ms", "60000",
		p.configFlag("consumer"), p.file(t)))
}

// Foreign clients speak TLS with PEM, PKCS12 and JKS stores on both sides, show
// certificates where they must, and read all that the others wrote; those that
// show none are refused there.
func TestSSLPeers(t *testing.T) {
	s := startSSL(t, javaStores())
	adm := admin(t, s.Addr)
	var topics []string
	for _, codec := range codecs() {
		topics = append(topics, topicOf(codec))
	}
	if _, err := adm.CreateTopics(t.Context(), partitions, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	all := sslPeers()
	if testing.Short() {
		all = slices.DeleteFunc(all, func(p sslPeer) bool { return p.java != "" })
	}
	var written []string
	for _, p := range all {
		t.Run("produce/"+p.name, func(t *testing.T) {
			testbed.Require(t, p.component())
			for _, codec := range p.codecs {
				values := lines(p.name, codec)
				p.produce(t, s.addr(p), topicOf(codec), codec, values)
				written = append(written, values...)
			}
		})
	}
	slices.Sort(written)
	t.Run("stored", func(t *testing.T) { checkStored(t, s.Addr, topics, len(written)) })
	for _, p := range all {
		t.Run("consume/"+p.name, func(t *testing.T) {
			testbed.Require(t, p.component())
			got := p.consume(t, s.addr(p), "group-"+p.name, topics, len(written))
			slices.Sort(got)
			if !slices.Equal(got, written) {
				t.Errorf("%d records read, %d written; %.300s", len(got), len(written), firstDifference(got, written))
			}
			checkCommitted(t, adm, "group-"+p.name, topics)
		})
	}
	for _, p := range all {
		if !p.mutual {
			t.Run("refused/"+p.name, func(t *testing.T) { p.checkRefused(t, s) })
		}
	}
	t.Run("plain client", func(t *testing.T) {
		testbed.Require(t, "kcat")
		if out, _, err := testbed.Run("", "kcat", "-b", s.ssl, "-L", "-m", "5"); err == nil {
			t.Errorf("served without TLS:\n%s", out)
		}
	})
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// checkRefused asks the listener that wants a certificate without one.
func (p sslPeer) checkRefused(t *testing.T, s sslServer) {
	testbed.Require(t, p.component())
	if p.java == "" {
		out, errs, err := testbed.Run("", "kcat", append(p.kcat(s.mutual), "-L", "-m", "10")...)
		if err == nil || !strings.Contains(errs, "certificate required") {
			t.Errorf("%v\n%s%s", err, out, errs)
		}
		return
	}
	run := filepath.Join(testbed.Root(), "deploy", "testbed", "run")
	out, errs, err := testbed.Run("", run, "kafka-tool", p.java, "kafka-broker-api-versions", "--bootstrap-server", s.mutual, "--command-config", p.file(t))
	if !strings.Contains(out+errs, "SslAuthenticationException") && !strings.Contains(out+errs, "SSL handshake failed") {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}

// A store that is replaced holds for new connections, while an open one goes on;
// one that cannot be used changes nothing, and one line says so.
func TestSSLReplacedStore(t *testing.T) {
	testbed.Require(t, "kcat")
	ca, dir := certtest.New(t), t.TempDir()
	keys, trust := filepath.Join(dir, "server.pem"), certtest.Write(t, filepath.Join(dir, "ca.pem"), ca.PEM)
	put := func() string {
		p := ca.Issue("broker", "127.0.0.1")
		certtest.Write(t, keys, p.Key, p.Cert)
		return p.Cert
	}
	first := put()
	s := startSSL(t, map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": keys})
	at := []string{"-b", s.ssl, "-X", "security.protocol=ssl", "-X", "ssl.ca.location=" + trust}
	send := func(value string) { testbed.Kcat(t, value+"\n", append(at, "-P", "-t", "river")...) }

	send("before")
	reader := testbed.Start(t, nil, "kcat", append(at, "-C", "-u", "-q", "-t", "river", "-o", "beginning")...)
	reader.Until(t, "the first record", func() bool { return strings.Contains(reader.Stdout(), "before\n") })
	if shown := shownBy(t, s.ssl, ca); shown != first {
		t.Errorf("shown at first:\n%s", shown)
	}
	second := put()
	send("replaced")
	if shown := shownBy(t, s.ssl, ca); shown != second {
		t.Errorf("shown after the change:\n%s", shown)
	}
	certtest.Write(t, keys, second[:len(second)/2])
	send("broken")
	if shown := shownBy(t, s.ssl, ca); shown != second {
		t.Errorf("shown with a broken store:\n%s", shown)
	}
	reader.Until(t, "all records over the first connection", func() bool { return reader.Stdout() == "before\nreplaced\nbroken\n" })
	if lines := strings.Count(s.Stderr(), "the former one stays"); lines != 1 {
		t.Errorf("%d lines about the broken store:\n%s", lines, s.Stderr())
	}
}

// Kafka's own tool gives a listener another store, and is told why one cannot be.
func TestSSLAlteredStore(t *testing.T) {
	if testing.Short() {
		t.Skip("the tool is a Java process")
	}
	ca, dir := certtest.New(t), t.TempDir()
	put := func(name string, host string) (file, cert string) {
		p := ca.Issue("broker", host)
		return certtest.Write(t, filepath.Join(dir, name), p.Key, p.Cert), p.Cert
	}
	keys, _ := put("first.pem", "127.0.0.1")
	s := startSSL(t, map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": keys})
	run := filepath.Join(testbed.Root(), "deploy", "testbed", "run")
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			testbed.Require(t, "kafka-"+version)
			alter := func(file string) (string, error) {
				out, errs, err := testbed.Run("", run, "kafka-tool", version, "kafka-configs", "--bootstrap-server", s.Addr, "--alter",
					"--entity-type", "brokers", "--entity-name", "0", "--add-config", "listener.name.ssl.ssl.keystore.location="+file)
				return out + errs, err
			}
			next, cert := put(version+".pem", "127.0.0.1")
			if out, err := alter(next); err != nil || !strings.Contains(out, "Completed updating config for broker") {
				t.Errorf("%v\n%s", err, out)
			}
			if shown := shownBy(t, s.ssl, ca); shown != cert {
				t.Errorf("shown after the change:\n%s", shown)
			}
			elsewhere, _ := put("elsewhere.pem", "192.0.2.1")
			if out, _ := alter(elsewhere); !strings.Contains(out, "alternative names 127.0.0.1 are gone") {
				t.Errorf("a store for another host:\n%s", out)
			}
			if shown := shownBy(t, s.ssl, ca); shown != cert {
				t.Errorf("shown after the refusal:\n%s", shown)
			}
		})
	}
}

// shownBy is the certificate that a new connection gets to see, as PEM text.
func shownBy(t *testing.T, addr string, ca *certtest.Authority) string {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, ca.Client())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: nc.ConnectionState().PeerCertificates[0].Raw}))
}
