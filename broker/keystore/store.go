package keystore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

var (
	// ErrPassword says that a password is wrong, or missing.
	ErrPassword = errors.New("wrong password")
	// ErrStore says that a store cannot be used as it is, or as it is set up.
	ErrStore = errors.New("unusable store")
)

// The types of stores.
const (
	PEM    = "PEM"
	PKCS12 = "PKCS12"
	JKS    = "JKS"
)

// maxFile is the size of the largest store that is read, in bytes.
const maxFile = 16 << 20

// KeyStore says where private keys and their certificates are. Empty fields are
// not set.
type KeyStore struct {
	Type        string // PEM, PKCS12 or JKS; a file of the latter two may be either
	Location    string // ssl.keystore.location
	Password    string // of the file
	KeyPassword string // of the key, where it has one of its own
	Key, Chain  string // PEM texts in place of a file
}

// TrustStore says where trusted certificates are. Empty fields are not set.
type TrustStore struct {
	Type         string
	Location     string // ssl.truststore.location
	Password     string
	Certificates string // PEM text in place of a file
}

// IsSet reports whether there is anything to load.
func (k KeyStore) IsSet() bool { return k.Location != "" || k.Key != "" || k.Chain != "" }

// IsSet reports whether there is anything to load.
func (s TrustStore) IsSet() bool { return s.Location != "" || s.Certificates != "" }

// Load returns the keys with their chains, the leaf first.
func (k KeyStore) Load() ([]tls.Certificate, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if k.Key != "" {
		return pemKeys([]byte(k.Chain), []byte(k.Key), k.KeyPassword)
	}
	data, err := readStore(k.Location, k.Type, "ssl.keystore.type")
	if err != nil {
		return nil, err
	}
	certs, err := k.parse(data)
	if err == nil && len(certs) == 0 {
		err = fmt.Errorf("%w: it holds no private key with its certificate", ErrStore)
	}
	if err != nil {
		return nil, fmt.Errorf("key store %s: %w", k.Location, explain(err, "ssl.keystore.password or ssl.key.password"))
	}
	return certs, nil
}

func (k KeyStore) parse(data []byte) ([]tls.Certificate, error) {
	if isType(k.Type, PEM) {
		return pemKeys(data, data, k.KeyPassword)
	}
	isJKS, err := isJKS(data)
	if err != nil {
		return nil, err
	}
	if isJKS {
		return jksKeys(data, k.Password, k.KeyPassword)
	}
	return pkcs12Keys(data, k.Password, k.KeyPassword)
}

// check refuses settings that contradict each other, as Kafka does.
func (k KeyStore) check() error {
	problem := ""
	switch isPEM := isType(k.Type, PEM); {
	case !knownType(k.Type):
		problem = fmt.Sprintf("ssl.keystore.type is %q: PEM, PKCS12 and JKS are read", k.Type)
	case k.Key == "" && k.Chain != "":
		problem = "ssl.keystore.certificate.chain is set, but ssl.keystore.key is not"
	case k.Key != "" && !isPEM:
		problem = "ssl.keystore.key needs ssl.keystore.type=PEM"
	case k.Key != "" && k.Chain == "":
		problem = "ssl.keystore.key is set, but ssl.keystore.certificate.chain is not"
	case k.Key != "" && k.Location != "":
		problem = "both ssl.keystore.location and ssl.keystore.key are set"
	case isPEM && k.Password != "":
		problem = "ssl.keystore.password has no meaning for the type PEM, which knows only ssl.key.password"
	case !isPEM && k.Location != "" && k.Password == "":
		problem = "ssl.keystore.location is set, but ssl.keystore.password is not"
	case !k.IsSet():
		problem = "no key store is set (ssl.keystore.location, or ssl.keystore.key with ssl.keystore.certificate.chain)"
	}
	if problem != "" {
		return fmt.Errorf("%w: %s", ErrStore, problem)
	}
	return nil
}

// Load returns the trusted certificates. It may be called when something is set.
func (s TrustStore) Load() ([]*x509.Certificate, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Certificates != "" {
		return pemTrusted([]byte(s.Certificates))
	}
	data, err := readStore(s.Location, s.Type, "ssl.truststore.type")
	if err != nil {
		return nil, err
	}
	certs, err := s.parse(data)
	if err == nil && len(certs) == 0 {
		err = fmt.Errorf("%w: it holds no certificate", ErrStore)
	}
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w", s.Location, explain(err, "ssl.truststore.password"))
	}
	return certs, nil
}

func (s TrustStore) parse(data []byte) ([]*x509.Certificate, error) {
	if isType(s.Type, PEM) {
		return pemTrusted(data)
	}
	isJKS, err := isJKS(data)
	if err != nil {
		return nil, err
	}
	if isJKS {
		return jksTrusted(data, s.Password)
	}
	return pkcs12Trusted(data, s.Password)
}

func (s TrustStore) check() error {
	problem := ""
	switch isPEM := isType(s.Type, PEM); {
	case !knownType(s.Type):
		problem = fmt.Sprintf("ssl.truststore.type is %q: PEM, PKCS12 and JKS are read", s.Type)
	case s.Certificates != "" && !isPEM:
		problem = "ssl.truststore.certificates needs ssl.truststore.type=PEM"
	case s.Certificates != "" && s.Location != "":
		problem = "both ssl.truststore.location and ssl.truststore.certificates are set"
	case isPEM && s.Password != "":
		problem = "ssl.truststore.password has no meaning for the type PEM"
	}
	if problem != "" {
		return fmt.Errorf("%w: %s", ErrStore, problem)
	}
	return nil
}

func isType(t, want string) bool { return strings.EqualFold(t, want) }

// knownType takes no type for JKS, which is Kafka's default.
func knownType(t string) bool {
	return t == "" || isType(t, PEM) || isType(t, PKCS12) || isType(t, JKS)
}

// explain adds which setting a wrong password comes from.
func explain(err error, setting string) error {
	if errors.Is(err, ErrPassword) {
		return fmt.Errorf("%w: see %s", err, setting)
	}
	return err
}

// ReadText reads a file of a size that keys and certificates have.
func ReadText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrStore, path, maxFile)
	}
	return data, nil
}

// readStore reads a file and checks that it looks like its type.
func readStore(path, kind, setting string) ([]byte, error) {
	data, err := ReadText(path)
	if err != nil {
		return nil, err
	}
	switch isText := bytes.Contains(data, []byte("-----BEGIN ")) && data[0] != derSequence; {
	case isText && !isType(kind, PEM):
		return nil, fmt.Errorf("%w: %s is a PEM file: set %s=PEM", ErrStore, path, setting)
	case !isText && isType(kind, PEM):
		return nil, fmt.Errorf("%w: %s is no PEM file, but %s is PEM", ErrStore, path, setting)
	}
	return data, nil
}

// isJKS tells JKS files from PKCS12 files, whatever their type is said to be:
// Java takes the one for the other, too.
func isJKS(data []byte) (bool, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return true, nil
	case bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return false, fmt.Errorf("%w: it is of the type JCEKS; %s", ErrStore, adviceConvert)
	case len(data) > 0 && data[0] == derSequence:
		return false, nil
	}
	return false, fmt.Errorf("%w: it is neither a PKCS12 nor a JKS file", ErrStore)
}
