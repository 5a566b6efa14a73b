package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crypto/tls"
)

// at is a store of the tests of package keystore: a server's for localhost and
// 127.0.0.1, and its authority's.
func at(name string) string { return filepath.Join("..", "keystore", "testdata", name) }

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(at(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shake makes a handshake with a server that wants a certificate if asked to.
func shake(t *testing.T, cfg *tls.Config, name string) error {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(at("server.pem"), at("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if nc, err := l.Accept(); err == nil {
			defer nc.Close()
			_ = nc.(*tls.Conn).Handshake() // the client tells
		}
	}()
	cfg = cfg.Clone()
	cfg.ServerName = name
	nc, err := tls.Dial("tcp", l.Addr().String(), cfg)
	if err == nil {
		nc.Close()
	}
	<-done
	return err
}

func TestTLSProperties(t *testing.T) {
	trust := func(more ...string) map[string]string {
		p := map[string]string{"security.protocol": "SSL"}
		for i := 0; i+1 < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
		return p
	}
	for _, c := range []struct {
		properties map[string]string
		host       string
		says       string // why the handshake fails, or the properties are refused
		keys       int
	}{
		{trust("ssl.ca.location", at("ca.pem")), "localhost", "", 0},
		{trust("ssl.ca.pem", read(t, "ca.pem")), "localhost", "", 0},
		{trust("ssl.truststore.location", at("trust.jks"), "ssl.truststore.password", "wasser"), "localhost", "", 0},
		{trust("ssl.truststore.location", at("trust.p12"), "ssl.truststore.type", "PKCS12", "ssl.truststore.password", "wasser"), "localhost", "", 0},
		{trust("ssl.truststore.certificates", read(t, "ca.pem"), "ssl.truststore.type", "PEM"), "localhost", "", 0},
		{trust(), "localhost", "unknown authority", 0},
		{trust("ssl.ca.location", "probe"), "localhost", "unknown authority", 0},
		{trust("ssl.ca.location", at("ca.pem")), "elsewhere", "elsewhere", 0},
		{trust("ssl.ca.location", at("ca.pem"), keyIdentification, ""), "elsewhere", "", 0},
		{trust("ssl.ca.location", at("ca.pem"), keyIdentification, "none"), "elsewhere", "", 0},
		{trust(keyIdentification, "none"), "elsewhere", "unknown authority", 0},
		{trust(keyVerification, "false"), "elsewhere", "", 0},
		{trust("ssl.ca.location", at("ca.pem"), "ssl.keystore.location", at("openssl.p12"), "ssl.keystore.password", "wasser"), "localhost", "", 1},
		{trust("ssl.ca.location", at("ca.pem"), "ssl.certificate.location", at("server.pem"), "ssl.key.location", at("server.key")), "localhost", "", 1},
		{trust("ssl.ca.location", at("ca.pem"), "ssl.certificate.pem", read(t, "server.pem"), "ssl.key.pem", read(t, "server.key")), "localhost", "", 1},
		{trust("ssl.certificate.location", at("server.pem")), "", "only one is set", 0},
		{trust("ssl.ca.location", at("ca.pem"), "ssl.truststore.location", at("trust.p12")), "", "both", 0},
		{trust("ssl.keystore.location", at("openssl.p12"), "ssl.keystore.password", "wein"), "", "wrong password", 0},
		{trust("ssl.enabled.protocols", "SSLv3"), "", "SSLv3", 0},
		{trust(keyIdentification, "ldap"), "", "ldap", 0},
		{trust(keyVerification, "maybe"), "", "maybe", 0},
		{map[string]string{"security.protocol": "SASL_SSL"}, "", "SASL_SSL", 0},
		{map[string]string{"ssl.ca.location": "x"}, "", "needs security.protocol", 0},
	} {
		cfg, err := TLS(c.properties)
		if err != nil && !errors.Is(err, ErrConfig) || err == nil && c.host == "" {
			t.Errorf("%v: %v", c.properties, err)
			continue
		}
		if err == nil {
			err = shake(t, cfg, c.host)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.properties, err, c.says)
		}
		if cfg != nil && len(cfg.Certificates) != c.keys {
			t.Errorf("%v: %d keys", c.properties, len(cfg.Certificates))
		}
	}
	for _, p := range []map[string]string{nil, {"security.protocol": "plaintext"}, {"acks": "all"}} {
		if cfg, err := TLS(p); cfg != nil || err != nil {
			t.Errorf("%v: %v, %v", p, cfg, err)
		}
	}
}
