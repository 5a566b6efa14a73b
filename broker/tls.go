package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/keystore"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
)

// stores are the keys and certificates of the listeners that encrypt, by name.
type stores map[string]*store

// store keeps what one listener encrypts with up to date. Every handshake looks
// whether its files have changed, and uses what they hold by then; a change that
// cannot be used is reported once, and what was used before stays.
type store struct {
	listener string
	log      *slog.Logger
	current  atomic.Pointer[secrets]

	mu       sync.Mutex // reloading
	settings *metadata.TLS
	seen     []os.FileInfo // of the files when they were last read, usable or not
}

// secrets are what a listener's settings and files amount to. They are immutable.
type secrets struct {
	config *tls.Config
	mapper *auth.PrincipalMapper
	hints  []string // what the owner should know
}

// openStores reads the stores of all listeners that encrypt.
func openStores(c *metadata.BrokerConfig, log *slog.Logger) (stores, error) {
	open := make(stores, len(c.TLS))
	for name, settings := range c.TLS {
		s := &store{listener: name, log: log.With("listener", name), settings: settings}
		s.seen = look(settings)
		loaded, err := loadSecrets(settings)
		if err != nil {
			return nil, fmt.Errorf("%w: listener %s: %w", ErrConfig, name, err)
		}
		s.adopt(loaded)
		open[name] = s
	}
	return open, nil
}

// security is what the server is given for a listener, nil for a plain one.
func (ss stores) security(listener string) *server.Security {
	s := ss[listener]
	if s == nil {
		return nil
	}
	return &server.Security{
		TLS: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			s.refresh()
			return s.current.Load().config, nil
		}},
		Identify: s.identify,
	}
}

// check refuses a configuration whose stores could not be used.
func (ss stores) check(next *metadata.BrokerConfig) error {
	for name, settings := range next.TLS {
		if s := ss[name]; s != nil && s.differs(settings) {
			if _, err := s.replacement(settings); err != nil {
				return fmt.Errorf("listener %s: %w", name, err)
			}
		}
	}
	return nil
}

// configure makes changed settings hold for the connections to come.
func (ss stores) configure(c *metadata.BrokerConfig) {
	for name, settings := range c.TLS {
		if s := ss[name]; s != nil && s.differs(settings) {
			s.mu.Lock()
			s.settings = settings
			s.reload()
			s.mu.Unlock()
		}
	}
}

func (s *store) differs(settings *metadata.TLS) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !reflect.DeepEqual(s.settings, settings)
}

// refresh reads the files again if they have changed.
func (s *store) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.EqualFunc(s.seen, look(s.settings), same) {
		s.reload()
	}
}

// reload reads the stores again. s.mu is held.
func (s *store) reload() {
	s.seen = look(s.settings)
	next, err := s.replacement(s.settings)
	if err != nil {
		s.log.Error("changed key or trust store cannot be used; the former one stays", "err", err)
		return
	}
	s.adopt(next)
	s.log.Info("key and trust store read again", "keystore", s.settings.KeyStoreLocation, "truststore", s.settings.TrustStoreLocation)
}

func (s *store) adopt(next *secrets) {
	for _, hint := range next.hints {
		s.log.Warn("TLS of a listener", "hint", hint)
	}
	s.current.Store(next)
}

// replacement loads what may take the place of the current secrets: names in
// certificates must stay what they are, unless that was allowed.
func (s *store) replacement(settings *metadata.TLS) (*secrets, error) {
	next, err := loadSecrets(settings)
	if err != nil {
		return nil, err
	}
	return next, sameNames(s.current.Load().config.Certificates, next.config.Certificates, settings)
}

// identify names the client of a finished handshake.
func (s *store) identify(state tls.ConnectionState) (any, error) {
	if len(state.PeerCertificates) == 0 {
		return auth.Anonymous, nil
	}
	name, err := auth.DistinguishedName(state.PeerCertificates[0].RawSubject)
	if err != nil {
		return nil, err
	}
	return s.current.Load().mapper.Principal(name)
}

// look returns what the system knows of the files of the stores; nil for one
// that is not there.
func look(t *metadata.TLS) []os.FileInfo {
	var infos []os.FileInfo
	for _, path := range []string{t.KeyStoreLocation, t.TrustStoreLocation} {
		if path != "" {
			info, err := os.Stat(path)
			if err != nil {
				info = nil
			}
			infos = append(infos, info)
		}
	}
	return infos
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func loadSecrets(t *metadata.TLS) (*secrets, error) {
	if t.EngineFactory != "" {
		return nil, fmt.Errorf("ssl.engine.factory.class is %s: classes of Java cannot be loaded; leave the key out", t.EngineFactory)
	}
	mapper, err := auth.ParsePrincipalRules(t.PrincipalMappingRules)
	if err != nil {
		return nil, err
	}
	s := &secrets{mapper: mapper, config: &tls.Config{
		ClientAuth: clientAuth(t.ClientAuth),
		// Records are full from the start: streams of batches gain nothing from
		// small ones.
		DynamicRecordSizingDisabled: true,
	}}
	for _, key := range t.JavaOnly {
		s.hints = append(s.hints, key+" has no effect: this broker does not use Java's TLS")
	}
	if err := s.fillProtocol(t); err != nil {
		return nil, err
	}
	if err := s.fillKeys(t); err != nil {
		return nil, err
	}
	return s, s.fillTrust(t)
}

func clientAuth(name string) tls.ClientAuthType {
	switch name {
	case "required":
		return tls.RequireAndVerifyClientCert
	case "requested":
		return tls.VerifyClientCertIfGiven
	}
	return tls.NoClientCert
}

func (s *secrets) fillProtocol(t *metadata.TLS) (err error) {
	if err := keystore.CheckProtocol(t.Protocol); err != nil {
		return err
	}
	if s.config.MinVersion, s.config.MaxVersion, err = keystore.Versions(t.EnabledProtocols); err != nil {
		return err
	}
	hint, err := keystore.Restrict(s.config, t.CipherSuites)
	if hint != "" {
		s.hints = append(s.hints, "ssl.cipher.suites: "+hint)
	}
	return err
}

func (s *secrets) fillKeys(t *metadata.TLS) (err error) {
	s.config.Certificates, err = keystore.KeyStore{
		Type: t.KeyStoreType, Location: t.KeyStoreLocation, Password: t.KeyStorePassword,
		KeyPassword: t.KeyPassword, Key: t.KeyStoreKey, Chain: t.KeyStoreChain,
	}.Load()
	if err != nil {
		return err
	}
	now := time.Now()
	for _, c := range s.config.Certificates {
		if now.After(c.Leaf.NotAfter) {
			s.hints = append(s.hints, fmt.Sprintf("the certificate of %s has expired on %s: clients will refuse it", c.Leaf.Subject, c.Leaf.NotAfter.Format(time.DateOnly)))
		}
	}
	return nil
}

// fillTrust takes the authorities that clients' certificates must come from.
// Without any, those of the system count, as in Java.
func (s *secrets) fillTrust(t *metadata.TLS) error {
	from := keystore.TrustStore{
		Type: t.TrustStoreType, Location: t.TrustStoreLocation, Password: t.TrustStorePassword, Certificates: t.TrustStoreCertificates,
	}
	if !from.IsSet() {
		if s.config.ClientAuth != tls.NoClientCert {
			s.hints = append(s.hints, "ssl.client.auth is "+t.ClientAuth+" and no trust store is set: certificates of all authorities that this system trusts are taken")
		}
		return nil
	}
	certs, err := from.Load()
	if err != nil {
		return err
	}
	s.config.ClientCAs = x509.NewCertPool()
	for _, c := range certs {
		s.config.ClientCAs.AddCert(c)
	}
	return nil
}

// errNames says that a certificate of other names came in place of one.
var errNames = errors.New("the new key store is for other names")

// sameNames checks that clients find the names that they knew.
func sameNames(old, next []tls.Certificate, t *metadata.TLS) error {
	if len(old) != len(next) {
		return fmt.Errorf("%w: %d keys in place of %d", errNames, len(next), len(old))
	}
	for i := range old {
		was, is := old[i].Leaf, next[i].Leaf
		if !t.AllowDNChanges && !sameSubject(was, is) {
			return fmt.Errorf("%w: %s in place of %s (ssl.allow.dn.changes permits it)", errNames, is.Subject, was.Subject)
		}
		if gone := missing(altNames(was), altNames(is)); !t.AllowSANChanges && len(gone) > 0 {
			return fmt.Errorf("%w: the alternative names %s are gone (ssl.allow.san.changes permits it)", errNames, strings.Join(gone, ", "))
		}
	}
	return nil
}

func sameSubject(a, b *x509.Certificate) bool {
	an, errA := auth.DistinguishedName(a.RawSubject)
	bn, errB := auth.DistinguishedName(b.RawSubject)
	return errA == nil && errB == nil && strings.EqualFold(an, bn)
}

func altNames(c *x509.Certificate) []string {
	names := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}

// missing are the names in was that are not in is.
func missing(was, is []string) []string {
	return slices.DeleteFunc(was, func(name string) bool { return slices.Contains(is, name) })
}
