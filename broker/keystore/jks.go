package keystore

import (
	"bytes"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
)

// This file reads Java's own format of key stores.

// jksKeys reads every private key with its chain.
func jksKeys(data []byte, password, keyPassword string) ([]tls.Certificate, error) {
	store, err := openJKS(data, password)
	if err != nil {
		return nil, err
	}
	if keyPassword == "" {
		keyPassword = password
	}
	secret, err := latin1(keyPassword)
	if err != nil {
		return nil, err
	}
	var out []tls.Certificate
	for _, alias := range store.Aliases() {
		if !store.IsPrivateKeyEntry(alias) {
			continue
		}
		entry, err := store.GetPrivateKeyEntry(alias, secret)
		if err != nil {
			return nil, fmt.Errorf("%w for the private key %q", ErrPassword, alias)
		}
		certs, err := jksCertificates(entry.CertificateChain)
		if err != nil {
			return nil, err
		}
		key, err := parseKey(entry.PrivateKey)
		if err != nil {
			return nil, err
		}
		pair, err := chain(key, certs)
		if err != nil {
			return nil, err
		}
		out = append(out, pair)
	}
	return out, nil
}

// jksTrusted reads the certificates that Java would trust: those imported as
// trusted, and those of the keys.
func jksTrusted(data []byte, password string) (certs []*x509.Certificate, err error) {
	store, err := openJKS(data, password)
	if err != nil {
		return nil, err
	}
	var found []jks.Certificate
	for _, alias := range store.Aliases() {
		if entry, err := store.GetTrustedCertificateEntry(alias); err == nil {
			found = append(found, entry.Certificate)
		} else if chain, err := store.GetPrivateKeyEntryCertificateChain(alias); err == nil && len(chain) > 0 {
			found = append(found, chain[0])
		}
	}
	return jksCertificates(found)
}

// openJKS checks the checksum before anything else of the file is believed, as
// the sizes in it are.
func openJKS(data []byte, password string) (jks.KeyStore, error) {
	store := jks.New(jks.WithOrderedAliases(), jks.WithCaseExactAliases())
	if password == "" {
		return store, fmt.Errorf("%w: a JKS file is read with its password only, and none is set", ErrPassword)
	}
	secret, err := latin1(password)
	if err != nil {
		return store, err
	}
	h := sha1.New()
	for _, b := range secret {
		h.Write([]byte{0, b})
	}
	h.Write([]byte("Mighty Aphrodite"))
	body := data[:max(0, len(data)-sha1.Size)]
	h.Write(body)
	if subtle.ConstantTimeCompare(h.Sum(nil), data[len(body):]) == 0 {
		return store, fmt.Errorf("%w, or the file is damaged", ErrPassword)
	}
	if err := store.Load(bytes.NewReader(data), secret); err != nil {
		return store, fmt.Errorf("%w: %w; %s", ErrStore, err, adviceConvert)
	}
	return store, nil
}

// latin1 is a password in the one byte for each character that the library takes.
func latin1(s string) ([]byte, error) {
	var out []byte
	for _, r := range s {
		if r > 0xff {
			return nil, fmt.Errorf("%w: in passwords of JKS files, characters beyond Latin-1 are not read; %s", ErrStore, adviceConvert)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

func jksCertificates(list []jks.Certificate) (certs []*x509.Certificate, err error) {
	for _, c := range list {
		cert, err := x509.ParseCertificate(c.Content)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate: %w", ErrStore, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
