package keystore

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func text(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// at is a store in testdata.
func at(name, kind, password, keyPassword string) KeyStore {
	return KeyStore{Type: kind, Location: filepath.Join("testdata", name), Password: password, KeyPassword: keyPassword}
}

// Every store holds the same key and certificate, as Java, OpenSSL 1 and
// OpenSSL 3 write them.
func TestKeyStores(t *testing.T) {
	want := pair(t)
	chain := text(t, "server.pem") + text(t, "ca.pem")
	for _, c := range []struct {
		name  string
		store KeyStore
		chain int
	}{
		{"openssl 3", at("openssl.p12", "PKCS12", "wasser", ""), 2},
		{"its type in small letters", at("openssl.p12", "pkcs12", "wasser", ""), 2},
		{"PKCS12 called JKS, as Java takes it", at("openssl.p12", "JKS", "wasser", ""), 2},
		{"no type", at("openssl.p12", "", "wasser", ""), 2},
		{"openssl 1: 3DES and 40 bits of RC2", at("legacy.p12", "PKCS12", "wasser", ""), 2},
		{"128 bits of RC2", at("rc2-128.p12", "PKCS12", "wasser", ""), 1},
		{"SHA-512 and a password beyond ASCII", at("unicode.p12", "PKCS12", "grünes-wässer", ""), 1},
		{"certificates in the open", at("plain-certs.p12", "PKCS12", "wasser", ""), 1},
		{"keytool", at("java.p12", "PKCS12", "wasser", ""), 2},
		{"keytool of Java 8", at("legacy-java.p12", "PKCS12", "wasser", ""), 2},
		{"JKS", at("java.jks", "JKS", "wasser", "schluessel"), 2},
		{"JKS called PKCS12", at("java.jks", "PKCS12", "wasser", "schluessel"), 2},
		{"PEM texts", KeyStore{Type: "PEM", Key: text(t, "server.key"), Chain: chain}, 2},
		{"encrypted PEM text", KeyStore{Type: "PEM", Key: text(t, "encrypted.key"), Chain: chain, KeyPassword: "wasser"}, 2},
		{"PEM texts in one line", KeyStore{Type: "PEM", Key: oneLine(text(t, "server.key")), Chain: oneLine(chain)}, 2},
		{"PEM file", file(t, text(t, "server.key")+chain), 2},
		{"PEM file with comments", file(t, "Bag Attributes\n"+chain+"Key:\n"+text(t, "server.key")), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			certs, err := c.store.Load()
			if err != nil {
				t.Fatal(err)
			}
			if len(certs) != 1 || len(certs[0].Certificate) != c.chain {
				t.Fatalf("%d keys, a chain of %d", len(certs), len(certs[0].Certificate))
			}
			if !bytes.Equal(certs[0].Certificate[0], want.Certificate[0]) || !matches(certs[0].PrivateKey.(crypto.Signer), want.Leaf) {
				t.Error("another key or certificate")
			}
		})
	}
}

func oneLine(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\n", " ")) }

func pair(t testing.TB) tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair("testdata/server.pem", "testdata/server.key")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// file is a PEM store of its own.
func file(t testing.TB, pem string) KeyStore {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.pem")
	if err := os.WriteFile(path, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	return KeyStore{Type: "PEM", Location: path}
}

func TestKeyStoreErrors(t *testing.T) {
	key, cert := text(t, "server.key"), text(t, "server.pem")
	for _, c := range []struct {
		name  string
		store KeyStore
		is    error
		says  string
	}{
		{"wrong password", at("openssl.p12", "PKCS12", "wein", ""), ErrPassword, "ssl.keystore.password"},
		{"wrong password, old checksum", at("legacy.p12", "PKCS12", "wein", ""), ErrPassword, "openssl.p12|legacy.p12"},
		{"wrong password of JKS", at("java.jks", "JKS", "wein", "schluessel"), ErrPassword, "java.jks"},
		{"wrong password of the key", at("java.jks", "JKS", "wasser", "wein"), ErrPassword, "private key"},
		{"wrong password of an encrypted text", KeyStore{Type: "PEM", Key: text(t, "encrypted.key"), Chain: cert, KeyPassword: "wein"}, ErrPassword, ""},
		{"PEM text encrypted with 3DES", KeyStore{Type: "PEM", Key: text(t, "encrypted-3des.key"), Chain: cert, KeyPassword: "wasser"}, ErrStore, "openssl pkcs8 -topk8 -v2"},
		{"PBES2 with 3DES", at("pbes2-3des.p12", "PKCS12", "grünes-wässer", ""), ErrStore, "keytool -importkeystore"},
		{"several keys", at("two-keys.p12", "PKCS12", "wasser", ""), ErrStore, "-srcalias ALIAS"},
		{"another password for the key of PKCS12", at("java.p12", "PKCS12", "wasser", "schluessel"), ErrPassword, "ssl.key.password is another"},
		{"no password for it", KeyStore{Type: "PEM", Key: text(t, "encrypted.key"), Chain: cert}, ErrPassword, "no password"},
		{"no file", at("none.p12", "PKCS12", "wasser", ""), ErrStore, "no such file"},
		{"no password", at("openssl.p12", "PKCS12", "", ""), ErrStore, "ssl.keystore.password is not"},
		{"only certificates", at("trust.p12", "PKCS12", "wasser", ""), ErrStore, "no private key"},
		{"JCEKS", at("x.jceks", "JKS", "wasser", ""), ErrStore, "keytool -importkeystore"},
		{"PEM for PKCS12", at("server.pem", "PKCS12", "wasser", ""), ErrStore, "ssl.keystore.type=PEM"},
		{"PKCS12 for PEM", at("openssl.p12", "PEM", "", ""), ErrStore, "no PEM"},
		{"PEM with a store password", at("server.pem", "PEM", "wasser", ""), ErrStore, "ssl.key.password"},
		{"unknown type", at("openssl.p12", "BKS", "wasser", ""), ErrStore, "BKS"},
		{"key without chain", KeyStore{Type: "PEM", Key: key}, ErrStore, "ssl.keystore.certificate.chain is not"},
		{"chain without key", KeyStore{Type: "PEM", Chain: cert}, ErrStore, "ssl.keystore.key is not"},
		{"key and location", KeyStore{Type: "PEM", Key: key, Chain: cert, Location: "x"}, ErrStore, "both"},
		{"key for JKS", KeyStore{Type: "JKS", Key: key, Chain: cert}, ErrStore, "needs ssl.keystore.type=PEM"},
		{"another's certificate", KeyStore{Type: "PEM", Key: text(t, "ca.key"), Chain: cert}, ErrStore, "without its certificate"},
		{"nothing", KeyStore{}, ErrStore, "no key store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.store.Load()
			if !errors.Is(err, c.is) || !containsAny(err.Error(), c.says) {
				t.Fatalf("%v; want %v and %q", err, c.is, c.says)
			}
			if strings.Contains(err.Error(), "wein") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func containsAny(s, choices string) bool {
	for choice := range strings.SplitSeq(choices, "|") {
		if strings.Contains(s, choice) {
			return true
		}
	}
	return false
}

func TestTrustStores(t *testing.T) {
	in := func(name, kind, password string) TrustStore {
		return TrustStore{Type: kind, Location: filepath.Join("testdata", name), Password: password}
	}
	for _, c := range []struct {
		name  string
		store TrustStore
		want  string // the subject's common name; or what the error says
	}{
		{"keytool", in("trust.p12", "PKCS12", "wasser"), "Test CA"},
		{"JKS", in("trust.jks", "JKS", "wasser"), "Test CA"},
		{"keytool without a password", in("open.p12", "PKCS12", ""), "Test CA"},
		{"a key store in the form JKS: its leaf", in("java.jks", "JKS", "wasser"), "server"},
		{"JKS without a password", in("trust.jks", "JKS", ""), "with its password only, and none is set: see ssl.truststore.password"},
		{"a list that no one marked as trusted", in("list.p12", "PKCS12", "wasser"), "keytool -importcert"},
		{"a key store", in("java.p12", "PKCS12", "wasser"), "keytool -exportcert"},
		{"PEM file", in("ca.pem", "PEM", ""), "Test CA"},
		{"PEM text", TrustStore{Type: "PEM", Certificates: text(t, "ca.pem")}, "Test CA"},
		{"wrong password", in("trust.p12", "PKCS12", "wein"), "wrong password, or the file is damaged: see ssl.truststore.password"},
		{"no password for what is encrypted", in("trust.p12", "PKCS12", ""), "it is encrypted and no password is set: see ssl.truststore.password"},
		{"PEM with a password", in("ca.pem", "PEM", "x"), "no meaning"},
		{"no certificate", in("server.key", "PEM", ""), "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			certs, err := c.store.Load()
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want %q", err, c.want)
				}
				return
			}
			if len(certs) != 1 || certs[0].Subject.CommonName != c.want {
				t.Errorf("%d certificates, the first of %s", len(certs), certs[0].Subject)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		versions, suites string
		low, high        uint16
		says             string // in the error or the warning
	}{
		{"", "", tls.VersionTLS12, tls.VersionTLS13, ""},
		{"TLSv1.2", "", tls.VersionTLS12, tls.VersionTLS12, ""},
		{"TLSv1.3,TLSv1,TLSv1.1,TLSv1.2", "", tls.VersionTLS10, tls.VersionTLS13, ""},
		{"TLSv1.1,TLSv1.3", "", 0, 0, "leaves out"},
		{"SSLv3", "", 0, 0, "SSLv3"},
		{"", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", tls.VersionTLS12, tls.VersionTLS12, ""},
		{"", "TLS_AES_256_GCM_SHA384", tls.VersionTLS13, tls.VersionTLS13, "always offers"},
		{"", "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256", tls.VersionTLS13, tls.VersionTLS13, ""},
		{"TLSv1.2", "TLS_AES_256_GCM_SHA384", 0, 0, "none for the versions"},
		{"", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_DHE_X", tls.VersionTLS12, tls.VersionTLS12, "TLS_DHE_X"},
		{"", "NULL", 0, 0, "none of NULL"},
	} {
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
		var cfg tls.Config
		var warning string
		var err error
		cfg.MinVersion, cfg.MaxVersion, err = Versions(split(c.versions))
		if err == nil {
			warning, err = Restrict(&cfg, split(c.suites))
		}
		if err != nil {
			warning = err.Error()
		}
		if (c.says == "") != (warning == "") || !strings.Contains(warning, c.says) || (c.low == 0) != (err != nil) {
			t.Errorf("%q %q: %q, want %q", c.versions, c.suites, warning, c.says)
		}
		if err == nil && (cfg.MinVersion != c.low || cfg.MaxVersion != c.high) {
			t.Errorf("%q %q: %x to %x", c.versions, c.suites, cfg.MinVersion, cfg.MaxVersion)
		}
	}
}

// parse reads a file as a key store and as a trust store.
func parse(data []byte, password, keyPassword string) error {
	_, keyErr := KeyStore{Password: password, KeyPassword: keyPassword}.parse(data)
	_, trustErr := TrustStore{Password: password}.parse(data)
	for _, err := range []error{keyErr, trustErr} {
		if err != nil && !errors.Is(err, ErrStore) && !errors.Is(err, ErrPassword) {
			return errors.Join(errStray, err)
		}
	}
	if keyErr != nil {
		return trustErr
	}
	return nil
}

var errStray = errors.New("an error of another package")

// What is damaged is refused, whatever the damage: no panic, no endless work.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"openssl.p12", "legacy.p12", "java.jks", "trust.p12", "trust.jks", "plain-certs.p12", "open.p12"} {
		f.Add([]byte(text(f, name)), "wasser")
		f.Add([]byte(text(f, name)), "")
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		if err := parse(data, password, password); errors.Is(err, errStray) {
			t.Error(err)
		}
	})
}

func FuzzPEM(f *testing.F) {
	f.Add(text(f, "encrypted.key") + text(f, "server.pem"))
	f.Add(text(f, "server.key") + text(f, "server.pem"))
	f.Fuzz(func(t *testing.T, data string) {
		if len(data) > 4096 {
			return
		}
		if _, err := pemKeys([]byte(data), []byte(data), "wasser"); err != nil && !errors.Is(err, ErrStore) && !errors.Is(err, ErrPassword) {
			t.Error(err)
		}
	})
}

// A file that is cut anywhere, or has a bit turned, is refused.
func TestDamage(t *testing.T) {
	for _, name := range []string{"rc2-128.p12", "java.jks", "trust.jks"} {
		good := []byte(text(t, name))
		for i := 0; i < len(good); i += 7 {
			if err := parse(good[:i], "wasser", ""); err == nil {
				t.Fatalf("%s: cut at %d, and taken", name, i)
			}
			bad := bytes.Clone(good)
			bad[i] ^= 0x10
			if err := parse(bad, "wasser", ""); err == nil && name != "rc2-128.p12" {
				t.Fatalf("%s: bit turned at %d, and taken", name, i)
			}
		}
	}
}
