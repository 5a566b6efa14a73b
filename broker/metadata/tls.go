package metadata

import (
	"maps"
	"strings"
)

// The security protocols by number.
const (
	ProtocolPlaintext int16 = 0
	ProtocolSSL       int16 = 1
)

// SecurityProtocolName is the name of a security protocol.
func SecurityProtocolName(id int16) string { return securityProtocolName(id) }

// TLS is how a listener encrypts: its own keys (listener.name.<name>.ssl.…), and
// for those that it does not have, the broker's. Empty means not set.
type TLS struct {
	Protocol         string   // ssl.protocol
	EnabledProtocols []string // ssl.enabled.protocols
	CipherSuites     []string // ssl.cipher.suites
	ClientAuth       string   // ssl.client.auth: required, requested or none

	KeyStoreType, KeyStoreLocation, KeyStorePassword string
	KeyStoreKey, KeyStoreChain                       string // PEM texts
	KeyPassword                                      string

	TrustStoreType, TrustStoreLocation, TrustStorePassword string
	TrustStoreCertificates                                 string // PEM text

	AllowDNChanges, AllowSANChanges bool
	PrincipalMappingRules           string // ssl.principal.mapping.rules

	EngineFactory string   // ssl.engine.factory.class
	JavaOnly      []string // keys that are set and mean something in Java alone
}

// fillTLS resolves the keys of the listeners that encrypt.
func (c *Configs) fillTLS(b *BrokerConfig) {
	b.TLS = make(map[string]*TLS)
	for _, l := range b.Listeners {
		if l.SecurityProtocol == ProtocolSSL {
			b.TLS[l.Name] = c.tlsOf(l.Name)
		}
	}
}

func (c *Configs) tlsOf(listener string) *TLS {
	at := func(name string) value { return c.ofListener(listener, name) }
	text := func(name string) string { return at(name).s }
	return &TLS{
		Protocol:               text("ssl.protocol"),
		EnabledProtocols:       at("ssl.enabled.protocols").list,
		CipherSuites:           at("ssl.cipher.suites").list,
		ClientAuth:             text("ssl.client.auth"),
		KeyStoreType:           text("ssl.keystore.type"),
		KeyStoreLocation:       text("ssl.keystore.location"),
		KeyStorePassword:       text("ssl.keystore.password"),
		KeyStoreKey:            text("ssl.keystore.key"),
		KeyStoreChain:          text("ssl.keystore.certificate.chain"),
		KeyPassword:            text("ssl.key.password"),
		TrustStoreType:         text("ssl.truststore.type"),
		TrustStoreLocation:     text("ssl.truststore.location"),
		TrustStorePassword:     text("ssl.truststore.password"),
		TrustStoreCertificates: text("ssl.truststore.certificates"),
		AllowDNChanges:         at("ssl.allow.dn.changes").b,
		AllowSANChanges:        at("ssl.allow.san.changes").b,
		PrincipalMappingRules:  text("ssl.principal.mapping.rules"),
		EngineFactory:          text("ssl.engine.factory.class"),
		JavaOnly:               c.javaOnly(at),
	}
}

// javaOnly are the keys of Java's own TLS whose values are not the defaults.
func (c *Configs) javaOnly(at func(string) value) []string {
	var set []string
	for _, name := range []string{"ssl.keymanager.algorithm", "ssl.provider", "ssl.secure.random.implementation", "ssl.trustmanager.algorithm"} {
		if at(name).s != c.brokers.byName[name].defaultValue().s {
			set = append(set, name)
		}
	}
	return set
}

// ofListener is the value of a broker key for one listener. c.mu is held, or c is
// not shared yet.
func (c *Configs) ofListener(listener, name string) value {
	k := c.brokers.byName[name]
	own := "listener.name." + strings.ToLower(listener) + "." + name
	for _, layer := range []map[string]string{c.forThis, c.forAll, c.static} {
		if text, ok := layer[own]; ok {
			if v, err := k.parse(text); err == nil {
				return v
			}
		}
	}
	return c.effective(name)
}

// Preview is the broker's configuration as it would be with other dynamic
// overrides of this broker, or with all of every broker. Nothing changes.
func (c *Configs) Preview(overrides map[string]string, all bool) (*BrokerConfig, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := &Configs{
		brokerID: c.brokerID, brokers: c.brokers, topics: c.topics,
		static: c.static, forAll: c.forAll, forThis: c.forThis,
	}
	if all {
		p.forAll = maps.Clone(overrides)
	} else {
		p.forThis = maps.Clone(overrides)
	}
	return p.buildBroker()
}
