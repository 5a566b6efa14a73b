package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	PEM string // its own certificate

	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a private key and its certificate.
type Pair struct {
	Key, Cert string // PEM texts

	t testing.TB
}

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.cert = template("authority", nil)
	a.cert.IsCA, a.cert.BasicConstraintsValid, a.cert.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.PEM = encode("CERTIFICATE", der)
	return a
}

func template(name string, hosts []string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // rand.Reader never fails
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Leat"}},
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(48 * time.Hour),
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Issue signs a certificate with O=Leat and the common name, for hosts.
func (a *Authority) Issue(name string, hosts ...string) Pair {
	a.t.Helper()
	return a.sign(template(name, hosts))
}

// IssueExpired is Issue of a certificate that was valid until yesterday.
func (a *Authority) IssueExpired(name string, hosts ...string) Pair {
	a.t.Helper()
	c := template(name, hosts)
	c.NotAfter = time.Now().Add(-24 * time.Hour)
	return a.sign(c)
}

func (a *Authority) sign(c *x509.Certificate) Pair {
	a.t.Helper()
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{Key: encode("PRIVATE KEY", pkcs8), Cert: encode("CERTIFICATE", der), t: a.t}
}

// TLS is the pair as Go takes it.
func (p Pair) TLS() tls.Certificate {
	p.t.Helper()
	c, err := tls.X509KeyPair([]byte(p.Cert), []byte(p.Key))
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// Client is the configuration of a client that trusts the authority and shows
// pairs.
func (a *Authority) Client(pairs ...Pair) *tls.Config {
	c := &tls.Config{RootCAs: a.Pool()}
	for _, p := range pairs {
		c.Certificates = append(c.Certificates, p.TLS())
	}
	return c
}

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Write writes texts to a file, all at once, as tools that renew certificates
// do, and returns its path.
func Write(t testing.TB, path string, texts ...string) string {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	var all []byte
	for _, text := range texts {
		all = append(all, text...)
	}
	if err := os.WriteFile(temporary, all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Trusting is the configuration of a client that trusts a PEM text.
func Trusting(t testing.TB, text string) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM([]byte(text)) {
		t.Fatal("no certificate")
	}
	return c
}
