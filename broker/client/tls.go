package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/leatstream/leat/broker/keystore"
)

// The properties of clients that say how to encrypt, by the names of Kafka's
// clients and, where those differ, of librdkafka too.
const (
	keyProtocol       = "security.protocol"
	keyIdentification = "ssl.endpoint.identification.algorithm"
	keyVerification   = "enable.ssl.certificate.verification"
)

// TLSKeys are the names of the properties that TLS reads.
func TLSKeys() []string {
	return []string{
		keyProtocol, keyIdentification, keyVerification,
		"ssl.protocol", "ssl.enabled.protocols", "ssl.cipher.suites",
		"ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.certificates",
		"ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.key", "ssl.keystore.certificate.chain",
		"ssl.key.password",
		"ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.pem",
	}
}

// TLS makes of client properties what Config.TLS takes: nil unless
// security.protocol is SSL. Files are read now; other properties have no effect.
func TLS(properties map[string]string) (*tls.Config, error) {
	switch protocol := properties[keyProtocol]; strings.ToUpper(protocol) {
	case "", "PLAINTEXT":
		for _, key := range TLSKeys() {
			if key != keyProtocol && properties[key] != "" {
				return nil, fmt.Errorf("%w: %s needs security.protocol=ssl", ErrConfig, key)
			}
		}
		return nil, nil
	case "SSL":
	default:
		return nil, fmt.Errorf("%w: security.protocol is %q: PLAINTEXT and SSL are spoken", ErrConfig, protocol)
	}
	c := &tls.Config{}
	for _, fill := range []func(*tls.Config, map[string]string) error{fillProtocol, fillTrust, fillKeys, fillVerification} {
		if err := fill(c, properties); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	return c, nil
}

func fillProtocol(c *tls.Config, p map[string]string) (err error) {
	if err := keystore.CheckProtocol(p["ssl.protocol"]); err != nil {
		return err
	}
	if c.MinVersion, c.MaxVersion, err = keystore.Versions(Addresses(p["ssl.enabled.protocols"])); err != nil {
		return err
	}
	_, err = keystore.Restrict(c, Addresses(p["ssl.cipher.suites"]))
	return err
}

// fillTrust takes the authorities that brokers' certificates must come from:
// those of the system when none are named.
func fillTrust(c *tls.Config, p map[string]string) error {
	store := keystore.TrustStore{
		Type: p["ssl.truststore.type"], Location: p["ssl.truststore.location"],
		Password: p["ssl.truststore.password"], Certificates: p["ssl.truststore.certificates"],
	}
	location, text := p["ssl.ca.location"], p["ssl.ca.pem"]
	if !store.IsSet() {
		store = keystore.TrustStore{Type: keystore.PEM, Location: location, Certificates: text}
		if location == "probe" { // librdkafka's word for those of the system
			store.Location = ""
		}
	} else if location != "" || text != "" {
		return fmt.Errorf("both ssl.truststore and ssl.ca are set")
	}
	if !store.IsSet() {
		return nil
	}
	certs, err := store.Load()
	if err != nil {
		return err
	}
	c.RootCAs = x509.NewCertPool()
	for _, cert := range certs {
		c.RootCAs.AddCert(cert)
	}
	return nil
}

// fillKeys takes the keys that the client shows, if there are any.
func fillKeys(c *tls.Config, p map[string]string) (err error) {
	store := keystore.KeyStore{
		Type: p["ssl.keystore.type"], Location: p["ssl.keystore.location"], Password: p["ssl.keystore.password"],
		KeyPassword: p["ssl.key.password"], Key: p["ssl.keystore.key"], Chain: p["ssl.keystore.certificate.chain"],
	}
	chain, err := textOrFile(p["ssl.certificate.pem"], p["ssl.certificate.location"])
	if err != nil {
		return err
	}
	key, err := textOrFile(p["ssl.key.pem"], p["ssl.key.location"])
	if err != nil {
		return err
	}
	if key != "" || chain != "" {
		if store.IsSet() {
			return fmt.Errorf("both ssl.keystore and ssl.certificate or ssl.key are set")
		}
		if key == "" || chain == "" {
			return fmt.Errorf("of ssl.certificate.location and ssl.key.location only one is set")
		}
		store = keystore.KeyStore{Type: keystore.PEM, KeyPassword: store.KeyPassword, Key: key, Chain: chain}
	}
	if store.IsSet() {
		c.Certificates, err = store.Load()
	}
	return err
}

func textOrFile(text, path string) (string, error) {
	if text != "" || path == "" {
		return text, nil
	}
	b, err := keystore.ReadText(path)
	return string(b), err
}

// fillVerification applies how much of a broker's certificate is checked: all of
// it, all but the names, or nothing.
func fillVerification(c *tls.Config, p map[string]string) error {
	switch v := p[keyVerification]; v {
	case "", "true":
	case "false":
		c.InsecureSkipVerify = true
		return nil
	default:
		return fmt.Errorf("%s is %q, neither true nor false", keyVerification, v)
	}
	algorithm, set := p[keyIdentification]
	switch {
	case !set || strings.EqualFold(algorithm, "https"):
	case algorithm == "" || algorithm == "none":
		skipNames(c)
	default:
		return fmt.Errorf("%s is %q: https, none and nothing are known", keyIdentification, algorithm)
	}
	return nil
}

// skipNames makes c check where a certificate comes from, but not whom it names.
func skipNames(c *tls.Config) {
	roots := c.RootCAs
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}
