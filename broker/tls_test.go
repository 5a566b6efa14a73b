package broker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/internal/certtest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// witness permits everything and remembers who asked.
type witness struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (w *witness) Authorize(s auth.Subject, _ auth.Operation, _ auth.Resource) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = make(map[string]bool)
	}
	w.seen[s.Principal.String()] = true
	return true
}

// who returns who has asked since it was last called.
func (w *witness) who() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.Sorted(maps.Keys(w.seen))
	w.seen = nil
	return names
}

// sslBroker is a broker with a listener that encrypts.
type sslBroker struct {
	*brokertest.Broker
	t       testing.TB
	addr    string // of the listener SSL
	dir     string // of the stores
	ca      *certtest.Authority
	witness *witness
}

// startSSL starts a broker with a PEM key store and a PEM trust store.
func startSSL(t testing.TB, more map[string]string) *sslBroker {
	t.Helper()
	b := &sslBroker{t: t, dir: t.TempDir(), ca: certtest.New(t), witness: &witness{}}
	b.writeKeys("server.pem", b.ca.Issue("broker", "127.0.0.1"))
	b.writeTrust(b.ca)
	p := map[string]string{
		"listeners":               "PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0",
		"ssl.keystore.type":       "PEM",
		"ssl.keystore.location":   filepath.Join(b.dir, "server.pem"),
		"ssl.truststore.type":     "PEM",
		"ssl.truststore.location": filepath.Join(b.dir, "trust.pem"),
	}
	maps.Copy(p, more)
	cfg := brokertest.Config(t.TempDir(), p)
	cfg.Authorizer = b.witness
	b.Broker = brokertest.Run(t, cfg)
	b.addr = b.Broker.Broker.Addr("SSL").String()
	return b
}

func (b *sslBroker) writeKeys(file string, p certtest.Pair) string {
	return certtest.Write(b.t, filepath.Join(b.dir, file), p.Key, p.Cert)
}

func (b *sslBroker) writeTrust(cas ...*certtest.Authority) {
	var texts []string
	for _, ca := range cas {
		texts = append(texts, ca.PEM)
	}
	certtest.Write(b.t, filepath.Join(b.dir, "trust.pem"), texts...)
}

// client is a Kafka client over TLS.
func (b *sslBroker) client(cfg *tls.Config, opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	cl, err := client.New(client.Config{Brokers: []string{b.addr}, TLS: cfg}, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

// ping makes one request over a new connection and returns the serial number of
// the certificate that the broker shows.
func (b *sslBroker) ping(cfg *tls.Config) (serial string, err error) {
	b.t.Helper()
	nc, err := tls.Dial("tcp", b.addr, cfg)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	return nc.ConnectionState().PeerCertificates[0].SerialNumber.String(), askApiVersions(nc)
}

// askApiVersions sends ApiVersions v0 and reads the beginning of the answer.
func askApiVersions(nc io.ReadWriter) error {
	_, err := nc.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff})
	if err == nil {
		_, err = io.ReadFull(nc, make([]byte, 8))
	}
	return err
}

// wantRefused asks something: with TLS 1.3 the broker says no after the client's
// part of the handshake.
func (b *sslBroker) wantRefused(what string, cfg *tls.Config) {
	b.t.Helper()
	if serial, err := b.ping(cfg); err == nil {
		b.t.Errorf("%s: served by %s", what, serial)
	}
}

func (b *sslBroker) wantServed(what string, cfg *tls.Config) string {
	b.t.Helper()
	serial, err := b.ping(cfg)
	if err != nil {
		b.t.Errorf("%s: %v", what, err)
	}
	return serial
}

// Records come and go over TLS, to the ports of the listener that encrypts, and
// are those that plain clients see.
func TestSSL(t *testing.T) {
	b := startSSL(t, nil)
	b.CreateTopic("river", 3)
	cl := b.client(b.ca.Client(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	var want []string
	for i := range 300 {
		want = append(want, strings.Repeat(string(rune('a'+i%26)), 1+i*100))
		cl.Produce(brokertest.Context(t), &kgo.Record{Topic: "river", Value: []byte(want[i])}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(brokertest.Context(t)); err != nil {
		t.Fatal(err)
	}
	reader := b.client(b.ca.Client(), kgo.ConsumeTopics("river"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	slices.Sort(want)
	for name, got := range map[string][]string{"TLS": poll(t, reader, len(want)), "plain": consume(t, b.Broker, "river", len(want))} {
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: other records", name)
		}
	}
	if who := b.witness.who(); !slices.Equal(who, []string{"User:ANONYMOUS"}) {
		t.Errorf("principals %s", who)
	}
}

// Key and trust stores as keytool makes them, and a password of the broker's for
// all listeners.
func TestSSLStores(t *testing.T) {
	at := func(name string) string { return filepath.Join("keystore", "testdata", name) }
	ca, err := os.ReadFile(at("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	clientPair, err := tls.LoadX509KeyPair(at("server.pem"), at("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := certtest.Trusting(t, string(ca))
	cfg.Certificates = []tls.Certificate{clientPair}
	for _, kind := range []string{"PKCS12", "JKS"} {
		t.Run(kind, func(t *testing.T) {
			file := map[string]string{"PKCS12": "p12", "JKS": "jks"}[kind]
			b := startSSL(t, map[string]string{
				"ssl.keystore.type": kind, "ssl.keystore.location": at("java." + file), "ssl.keystore.password": "wasser",
				"ssl.key.password":    map[string]string{"JKS": "schluessel", "PKCS12": "wasser"}[kind],
				"ssl.truststore.type": kind, "ssl.truststore.location": at("trust." + file), "ssl.truststore.password": "wasser",
				"listener.name.ssl.ssl.client.auth": "required",
			})
			b.wantServed(kind, cfg)
			b.wantRefused("no certificate", certtest.Trusting(t, string(ca)))
		})
	}
}

func TestSSLClientAuth(t *testing.T) {
	for _, c := range []struct {
		name, auth                   string
		none, signed, expired, alien string // the principal; "" when refused
		rules                        string
	}{
		{name: "none", auth: "none", none: "User:ANONYMOUS", signed: "User:ANONYMOUS", expired: "User:ANONYMOUS", alien: "User:ANONYMOUS"},
		{name: "requested", auth: "requested", none: "User:ANONYMOUS", signed: "User:CN=alice,O=Leat"},
		{name: "required", auth: "required", signed: "User:CN=alice,O=Leat"},
		{name: "mapped", auth: "required", signed: "User:alice@leat", rules: "RULE:^CN=(.*?),O=(.*)$/$1@$2/L"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := startSSL(t, map[string]string{"ssl.client.auth": c.auth, "ssl.principal.mapping.rules": c.rules})
			b.CreateTopic("river", 1)
			alien := b.ca.Client()
			alien.Certificates = certtest.New(t).Client(certtest.New(t).Issue("alice")).Certificates
			for _, client := range []struct {
				name string
				cfg  *tls.Config
				want string
			}{
				{"without a certificate", b.ca.Client(), c.none},
				{"with one", b.ca.Client(b.ca.Issue("alice")), c.signed},
				{"with an expired one", b.ca.Client(b.ca.IssueExpired("alice")), c.expired},
				{"with one of another authority", always(alien), c.alien},
			} {
				if client.want == "" {
					b.wantRefused(client.name, client.cfg)
					continue
				}
				b.witness.who()
				if _, err := kadm.NewClient(b.client(client.cfg)).ListTopics(brokertest.Context(t)); err != nil {
					t.Errorf("%s: %v", client.name, err)
				}
				if who := b.witness.who(); !slices.Equal(who, []string{client.want}) {
					t.Errorf("%s: %s, want %s", client.name, who, client.want)
				}
			}
		})
	}
}

// always shows the certificate of a configuration whoever the server trusts.
func always(cfg *tls.Config) *tls.Config {
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cfg.Certificates[0], nil }
	return cfg
}

// Versions and cipher suites are those of the configuration.
func TestSSLProtocols(t *testing.T) {
	b := startSSL(t, map[string]string{"ssl.enabled.protocols": "TLSv1.2", "ssl.cipher.suites": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"})
	for _, c := range []struct {
		low, high uint16
		suite     uint16
		ok        bool
	}{
		{tls.VersionTLS12, tls.VersionTLS13, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, true},
		{tls.VersionTLS12, tls.VersionTLS13, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false},
		{tls.VersionTLS13, tls.VersionTLS13, 0, false},
	} {
		cfg := b.ca.Client()
		cfg.MinVersion, cfg.MaxVersion, cfg.CipherSuites = c.low, c.high, []uint16{c.suite}
		if _, err := b.ping(cfg); (err == nil) != c.ok {
			t.Errorf("%x to %x, suite %x: %v", c.low, c.high, c.suite, err)
		}
	}
}

// Changed files hold for the next connection; those that are open go on. Files
// that cannot be used, or are for other names, change nothing.
func TestSSLReload(t *testing.T) {
	b := startSSL(t, map[string]string{"ssl.client.auth": "required"})
	alice := b.ca.Client(b.ca.Issue("alice"))
	open, err := tls.Dial("tcp", b.addr, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	first := b.wantServed("at first", alice)

	b.writeKeys("server.pem", b.ca.Issue("broker", "127.0.0.1", "localhost"))
	second := b.wantServed("after a change", alice)
	if second == first {
		t.Error("the key store was not read again")
	}
	certtest.Write(t, filepath.Join(b.dir, "server.pem"), "-----BEGIN CERTIFICATE-----\nhalf")
	if got := b.wantServed("half written", alice); got != second {
		t.Error("another certificate than before")
	}
	b.writeKeys("server.pem", b.ca.Issue("another", "127.0.0.1", "localhost"))
	if got := b.wantServed("with another name", alice); got != second {
		t.Error("another name was taken")
	}
	b.writeKeys("server.pem", b.ca.Issue("broker", "127.0.0.1"))
	if got := b.wantServed("with a name less", alice); got != second {
		t.Error("an alternative name has gone")
	}
	b.writeKeys("server.pem", b.ca.Issue("broker", "127.0.0.1", "localhost"))
	if got := b.wantServed("good again", alice); got == second {
		t.Error("a good file was not read after bad ones")
	}

	other := certtest.New(t)
	bob := b.ca.Client()
	bob.Certificates = []tls.Certificate{other.Issue("bob").TLS()}
	bob = always(bob)
	b.wantRefused("not trusted yet", bob)
	b.writeTrust(b.ca, other)
	b.wantServed("trusted", bob)
	b.writeTrust(other)
	b.wantServed("trusted alone", bob)
	b.wantRefused("no longer trusted", always(alice))
	if err := askApiVersions(open); err != nil {
		t.Errorf("the connection that was open all the time: %v", err)
	}
}

// A session from before a change of the trust store lets nobody in.
func TestSSLResumption(t *testing.T) {
	b := startSSL(t, map[string]string{"ssl.client.auth": "required"})
	alice := b.ca.Client(b.ca.Issue("alice"))
	alice.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	resumed := func() bool {
		nc, err := tls.Dial("tcp", b.addr, alice)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := askApiVersions(nc); err != nil {
			t.Fatal(err)
		}
		return nc.ConnectionState().DidResume
	}
	resumed()
	if !resumed() {
		t.Error("sessions are not resumed")
	}
	if who := b.witness.who(); slices.Contains(who, "User:ANONYMOUS") {
		t.Errorf("principals %s", who)
	}
	b.writeTrust(certtest.New(t))
	b.wantRefused("a session of before", alice)
}

// Stores change by requests, too, behind the listener's prefix.
func TestSSLAlterConfigs(t *testing.T) {
	b := startSSL(t, nil)
	cfg := b.ca.Client()
	first := b.wantServed("at first", cfg)
	next := b.writeKeys("next.pem", b.ca.Issue("broker", "127.0.0.1"))
	other := b.writeKeys("other.pem", b.ca.Issue("other", "127.0.0.1"))
	alter := func(key, value string) error {
		resp, err := b.Admin().AlterBrokerConfigs(brokertest.Context(t), []kadm.AlterConfig{{Name: key, Value: &value}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return resp[0].Err
	}
	for key, value := range map[string]string{
		"ssl.keystore.location":                       next, // only behind a prefix
		"listener.name.ssl.ssl.keystore.location":     "/nowhere.pem",
		"listener.name.ssl.ssl.keystore.type":         "PKCS12",
		"listener.name.ssl.ssl.truststore.location":   next + "x",
		"listener.name.ssl.ssl.cipher.suites":         "NULL",
		"listener.name.ssl.ssl.enabled.protocols":     "SSLv3",
		"listener.name.ssl.ssl.keystore.location ":    other,
		"listener.name.ssl.ssl.client.auth":           "perhaps",
		"listener.name.ssl.ssl.keystore.key":          "secret",
		"listener.name.ssl.ssl.endpoint.nothing.such": "",
	} {
		switch err := alter(strings.TrimSpace(key), value); {
		case strings.HasSuffix(key, "such"): // of a plug-in, for all we know
		case !errors.Is(err, kerr.InvalidRequest) && !errors.Is(err, kerr.InvalidConfig):
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	if got := b.wantServed("after refusals", cfg); got != first {
		t.Error("a refused change has changed something")
	}
	if err := alter("listener.name.ssl.ssl.keystore.location", next); err != nil {
		t.Fatal(err)
	}
	if got := b.wantServed("after the change", cfg); got == first {
		t.Error("the change does not hold")
	}
	if err := alter("listener.name.ssl.ssl.client.auth", "required"); err != nil {
		t.Fatal(err)
	}
	b.wantRefused("without a certificate", cfg)
	b.wantServed("with one", b.ca.Client(b.ca.Issue("alice")))
}

// A broker whose certificate has expired starts, so that it can be replaced
// while it runs: clients refuse it until then.
func TestSSLExpired(t *testing.T) {
	b := startSSL(t, nil)
	b.writeKeys("server.pem", b.ca.IssueExpired("broker", "127.0.0.1"))
	b.wantRefused("expired", b.ca.Client())
	b.writeKeys("server.pem", b.ca.Issue("broker", "127.0.0.1"))
	b.wantServed("renewed", b.ca.Client())
}

// What cannot be served is told at the start, before anything is touched.
func TestSSLStartErrors(t *testing.T) {
	stores := filepath.Join("keystore", "testdata")
	for _, c := range []struct {
		says string
		set  map[string]string
	}{
		{"wrong password", map[string]string{"ssl.keystore.type": "PKCS12", "ssl.keystore.location": stores + "/java.p12", "ssl.keystore.password": "wein"}},
		{"ssl.keystore.password is not", map[string]string{"ssl.keystore.type": "PKCS12", "ssl.keystore.location": stores + "/java.p12"}},
		{"no such file", map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": stores + "/nothing"}},
		{"no key store", nil},
		{"classes of Java", map[string]string{"ssl.engine.factory.class": "com.example.Engines"}},
		{"ssl.enabled.protocols", map[string]string{"ssl.enabled.protocols": "TLSv9"}},
		{"ssl.principal.mapping.rules", map[string]string{"ssl.principal.mapping.rules": "RULE:("}},
		{"see ssl.truststore.password", map[string]string{
			"ssl.keystore.type": "PKCS12", "ssl.keystore.location": stores + "/java.p12", "ssl.keystore.password": "wasser",
			"ssl.truststore.location": stores + "/trust.jks", "ssl.truststore.password": "wein",
		}},
	} {
		dir := t.TempDir()
		cfg := brokertest.Config(dir, map[string]string{"listeners": "SSL://127.0.0.1:0"})
		maps.Copy(cfg.Properties, c.set)
		b, err := broker.New(cfg, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err = b.Run(context.Background()); !errors.Is(err, broker.ErrConfig) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "listener SSL") {
			t.Errorf("%v; want %q", err, c.says)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: the data folder has %s", c.says, left[0].Name())
		}
	}
	cfg := brokertest.Config(t.TempDir(), map[string]string{"listeners": "SASL_SSL://127.0.0.1:0"})
	if _, err := broker.New(cfg, nil, nil); !errors.Is(err, broker.ErrConfig) || !strings.Contains(err.Error(), "SASL_SSL") {
		t.Errorf("SASL_SSL: %v", err)
	}
}
