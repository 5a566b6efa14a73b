package keystore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"
)

// This file decrypts private keys in PEM texts: PBES2 (RFC 8018) with AES, as
// OpenSSL encrypts them.

// adviceEncrypt is what to do about keys that are encrypted in other ways.
const adviceEncrypt = "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW"

type (
	encryptedKeyInfo struct { // EncryptedPrivateKeyInfo of RFC 5208
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params struct{ KDF, Cipher pkix.AlgorithmIdentifier }
		}
		Data []byte
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// openPBES2 decrypts a key; what it returns for a wrong password is no key, or
// ErrPassword.
func openPBES2(der []byte, password string) ([]byte, error) {
	var info encryptedKeyInfo
	var kdf pbkdf2Params
	var iv []byte
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil || len(rest) > 0 || info.Algorithm.ID.String() != "1.2.840.113549.1.5.13" {
		return nil, errEncryption("not by PBES2")
	}
	if _, err := asn1.Unmarshal(info.Algorithm.Params.KDF.Parameters.FullBytes, &kdf); err != nil || kdf.Iterations < 1 || kdf.Iterations > maxIterations {
		return nil, errEncryption("not by PBKDF2")
	}
	newHash := prf(kdf.PRF.Algorithm.String())
	size := map[string]int{"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}[info.Algorithm.Params.Cipher.Algorithm.String()]
	if newHash == nil || size == 0 {
		return nil, errEncryption("not by AES in CBC mode with a known hash")
	}
	_, err = asn1.Unmarshal(info.Algorithm.Params.Cipher.Parameters.FullBytes, &iv)
	if err != nil || len(iv) != aes.BlockSize || len(info.Data) == 0 || len(info.Data)%aes.BlockSize != 0 {
		return nil, errEncryption("damaged")
	}
	key, err := pbkdf2.Key(newHash, password, kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(info.Data, info.Data)
	padding := int(info.Data[len(info.Data)-1])
	plain := info.Data[:max(0, len(info.Data)-padding)]
	if padding == 0 || padding > aes.BlockSize || !bytes.Equal(info.Data[len(plain):], bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, ErrPassword
	}
	return plain, nil
}

func errEncryption(how string) error {
	return fmt.Errorf("%w: the private key is encrypted, %s; %s", ErrStore, how, adviceEncrypt)
}

// prf is the hash of a HMAC by its identifier; none stands for SHA-1.
func prf(oid string) func() hash.Hash {
	return map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.11": sha512.New,
	}[oid]
}
