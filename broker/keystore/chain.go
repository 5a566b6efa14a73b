package keystore

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// maxChain bounds the certificates of one chain.
const maxChain = 16

// chain joins a key to its certificate, the first of certs that is of the key,
// and to the issuers that are there too.
func chain(key any, certs []*x509.Certificate) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("%w: a private key of type %T cannot sign", ErrStore, key)
	}
	for _, leaf := range certs {
		if !matches(signer, leaf) {
			continue
		}
		pair := tls.Certificate{PrivateKey: signer, Leaf: leaf}
		for cert := leaf; cert != nil && len(pair.Certificate) < maxChain; cert = issuer(cert, certs) {
			pair.Certificate = append(pair.Certificate, cert.Raw)
		}
		return pair, nil
	}
	return tls.Certificate{}, fmt.Errorf("%w: it holds a private key without its certificate", ErrStore)
}

// matches reports whether cert is of key.
func matches(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// issuer is the certificate that has signed cert; nil if that is cert itself, or
// not here.
func issuer(cert *x509.Certificate, certs []*x509.Certificate) *x509.Certificate {
	if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		return nil
	}
	for _, other := range certs {
		if bytes.Equal(cert.RawIssuer, other.RawSubject) && cert.CheckSignatureFrom(other) == nil {
			return other
		}
	}
	return nil
}
