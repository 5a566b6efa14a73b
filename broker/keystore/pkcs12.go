package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// This file reads PKCS12 files as keytool and OpenSSL write them.

// derSequence is the first byte of every PKCS12 file.
const derSequence = 0x30

// maxIterations bounds what a damaged file can ask of the derivation of the key
// of its checksum. Files in use have up to a million.
const maxIterations = 10_000_000

// What to do about files that are not read.
const (
	adviceConvert = "convert it: keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12"
	adviceOneKey  = "copy the one into a store of its own: keytool -importkeystore -srckeystore FILE -srcalias ALIAS -destkeystore NEW.p12 -deststoretype PKCS12"
	adviceImport  = "import each: keytool -importcert -noprompt -trustcacerts -alias NAME -file CERT.pem -keystore NEW.p12 -storetype PKCS12"
	adviceNoKeys  = "export its certificate with keytool -exportcert -rfc -alias ALIAS -keystore FILE -file CERT.pem, and " + adviceImport
)

// pkcs12Keys reads the one private key of a file with its chain.
func pkcs12Keys(data []byte, password, keyPassword string) ([]tls.Certificate, error) {
	if keyPassword != "" && keyPassword != password {
		return nil, fmt.Errorf("%w: ssl.key.password is another than that of the PKCS12 store, whose keys have its own; leave it out", ErrPassword)
	}
	if err := checkIterations(data); err != nil {
		return nil, err
	}
	key, leaf, others, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, explainPKCS12(err)
	}
	pair, err := chain(key, append([]*x509.Certificate{leaf}, others...))
	return []tls.Certificate{pair}, err
}

// pkcs12Trusted reads the certificates of a file, all of which are marked as
// trusted by Java.
func pkcs12Trusted(data []byte, password string) ([]*x509.Certificate, error) {
	if err := checkIterations(data); err != nil {
		return nil, err
	}
	certs, err := pkcs12.DecodeTrustStore(data, password)
	if err == nil {
		return certs, nil
	}
	if _, _, _, keyErr := pkcs12.DecodeChain(data, password); keyErr == nil {
		return nil, fmt.Errorf("%w: it holds a private key; of trust stores, those with nothing but trusted certificates are read; %s", ErrStore, adviceNoKeys)
	}
	if password == "" && errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, fmt.Errorf("%w: it is encrypted and no password is set", ErrPassword)
	}
	return nil, explainPKCS12(err)
}

// explainPKCS12 says in our words what a user can mend, and how.
func explainPKCS12(err error) error {
	for says, advice := range map[string]string{
		"expected exactly one key bag": "it holds several private keys; " + adviceOneKey,
		"not marked as trusted":        "it holds certificates that are not marked as trusted, which Java passes over; " + adviceImport,
		"private key missing":          "it holds no private key with its certificate",
		"certificate missing":          "it holds no private key with its certificate",
	} {
		if strings.Contains(err.Error(), says) {
			return fmt.Errorf("%w: %s", ErrStore, advice)
		}
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return fmt.Errorf("%w, or the file is damaged", ErrPassword)
	}
	if _, ok := errors.AsType[pkcs12.NotImplementedError](err); ok {
		return fmt.Errorf("%w: %w; %s", ErrStore, err, adviceConvert)
	}
	return fmt.Errorf("%w: %w", ErrStore, err)
}

// checkIterations refuses files whose checksum would take too long. What lies
// below the checksum is of its owner.
func checkIterations(data []byte) error {
	var file struct {
		Version int
		Content asn1.RawValue
		Mac     struct {
			Digest     asn1.RawValue
			Salt       []byte
			Iterations int `asn1:"optional,default:1"`
		} `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("%w: it cannot be read: %w", ErrStore, err)
	}
	if file.Mac.Iterations > maxIterations {
		return fmt.Errorf("%w: its checksum asks for %d iterations", ErrStore, file.Mac.Iterations)
	}
	return nil
}
