package keystore

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// pemKeys reads the one private key in keyText and its chain in chainText, which
// may be the same text.
func pemKeys(chainText, keyText []byte, password string) ([]tls.Certificate, error) {
	key, err := pemKey(keyText, password)
	if err != nil {
		return nil, err
	}
	certs, err := pemCertificates(chainText)
	if err != nil {
		return nil, err
	}
	pair, err := chain(key, certs)
	return []tls.Certificate{pair}, err
}

// layOut puts each PEM text on lines of its own: in settings they often come as
// one line, which Java takes.
func layOut(text []byte) []byte {
	block := regexp.MustCompile(`\s*(-----BEGIN [A-Z0-9 ]+-----)\s*([A-Za-z0-9+/=\s]+?)\s*(-----END [A-Z0-9 ]+-----)\s*`)
	return block.ReplaceAllFunc(text, func(found []byte) []byte {
		part := block.FindSubmatch(found)
		body := bytes.Join(bytes.Fields(part[2]), []byte("\n"))
		return slices.Concat([]byte("\n"), part[1], []byte("\n"), body, []byte("\n"), part[3], []byte("\n"))
	})
}

func pemKey(text []byte, password string) (crypto.Signer, error) {
	text = layOut(text)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			return parseKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return encryptedKey(block.Bytes, password)
		case "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, fmt.Errorf("%w: the key is encrypted in OpenSSL's old way; %s", ErrStore, adviceEncrypt)
			}
			return parseOldKey(block)
		}
	}
	return nil, fmt.Errorf("%w: no private key in the PEM text", ErrStore)
}

func parseOldKey(block *pem.Block) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	if block.Type == "EC PRIVATE KEY" {
		key, err = x509.ParseECPrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrStore, err)
	}
	return key, nil
}

// parseKey reads a key in the form PKCS8.
func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrStore, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a private key of type %T cannot sign", ErrStore, key)
	}
	return signer, nil
}

// encryptedKey reads an EncryptedPrivateKeyInfo. Where decryption itself has
// seen nothing wrong, a result that is no key comes of a wrong password too.
func encryptedKey(der []byte, password string) (crypto.Signer, error) {
	if password == "" {
		return nil, fmt.Errorf("%w: the private key is encrypted and no password is set", ErrPassword)
	}
	plain, err := openPBES2(der, password)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(plain)
	if err != nil {
		return nil, fmt.Errorf("%w for the private key", ErrPassword)
	}
	return key, nil
}

// pemTrusted reads certificates of which there must be one.
func pemTrusted(text []byte) ([]*x509.Certificate, error) {
	certs, err := pemCertificates(text)
	if err == nil && len(certs) == 0 {
		err = fmt.Errorf("%w: no certificate in the PEM text", ErrStore)
	}
	return certs, err
}

func pemCertificates(text []byte) ([]*x509.Certificate, error) {
	text = layOut(text)
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: certificate %d of the PEM text", ErrStore, len(out)+1), err)
		}
		out = append(out, cert)
	}
	return out, nil
}
