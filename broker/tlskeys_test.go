package broker

import (
	"crypto/tls"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/certtest"
	"github.com/leatstream/leat/broker/metadata"
)

// Each ssl key takes effect, is refused, or is said to have none.
func TestSSLKeys(t *testing.T) {
	ca := certtest.New(t)
	p := ca.Issue("broker", "127.0.0.1")
	file := certtest.Write(t, filepath.Join(t.TempDir(), "keys.pem"), p.Key, p.Cert)
	stores := filepath.Join("keystore", "testdata")
	suite := "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	effect := func(ok func(*secrets) bool) func(*secrets, error) bool {
		return func(s *secrets, err error) bool { return err == nil && ok(s) }
	}
	hint := func(says string) func(*secrets, error) bool {
		return effect(func(s *secrets) bool { return len(s.hints) == 1 && strings.Contains(s.hints[0], says) })
	}
	refused := func(says string) func(*secrets, error) bool {
		return func(_ *secrets, err error) bool { return err != nil && strings.Contains(err.Error(), says) }
	}
	named := func(name string) func(*secrets) bool {
		return func(s *secrets) bool { return s.config.Certificates[0].Leaf.Subject.CommonName == name }
	}
	trusts := func(s *secrets) bool { return s.config.ClientCAs != nil }
	java := map[string]string{"ssl.keystore.type": "PKCS12", "ssl.keystore.location": filepath.Join(stores, "java.p12"), "ssl.keystore.password": "wasser"}
	with := func(base map[string]string, pairs ...string) map[string]string {
		out := map[string]string{}
		maps.Copy(out, base)
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	pem := map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": file}
	texts := with(nil, "ssl.keystore.type", "PEM", "ssl.keystore.key", p.Key, "ssl.keystore.certificate.chain", p.Cert)
	trust := with(pem, "ssl.truststore.type", "PKCS12", "ssl.truststore.location", filepath.Join(stores, "trust.p12"), "ssl.truststore.password", "wasser")
	tests := map[string]struct {
		set  map[string]string
		want func(*secrets, error) bool
	}{
		"ssl.allow.dn.changes":  {with(pem, "ssl.allow.dn.changes", "true"), effect(named("broker"))},
		"ssl.allow.san.changes": {with(pem, "ssl.allow.san.changes", "true"), effect(named("broker"))},
		"ssl.cipher.suites": {with(pem, "ssl.cipher.suites", suite), effect(func(s *secrets) bool {
			return slices.Equal(s.config.CipherSuites, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384})
		})},
		"ssl.client.auth":                       {with(trust, "ssl.client.auth", "required"), effect(func(s *secrets) bool { return s.config.ClientAuth == tls.RequireAndVerifyClientCert })},
		"ssl.enabled.protocols":                 {with(pem, "ssl.enabled.protocols", "TLSv1.3"), effect(func(s *secrets) bool { return s.config.MinVersion == tls.VersionTLS13 })},
		"ssl.endpoint.identification.algorithm": {with(pem, "ssl.endpoint.identification.algorithm", ""), effect(named("broker"))}, // of connections to other brokers
		"ssl.engine.factory.class":              {with(pem, "ssl.engine.factory.class", "com.example.Engines"), refused("classes of Java")},
		"ssl.key.password":                      {with(java, "ssl.key.password", "other"), refused("ssl.key.password")},
		"ssl.keymanager.algorithm":              {with(pem, "ssl.keymanager.algorithm", "PKIX"), hint("ssl.keymanager.algorithm has no effect")},
		"ssl.keystore.certificate.chain":        {texts, effect(named("broker"))},
		"ssl.keystore.key":                      {texts, effect(named("broker"))},
		"ssl.keystore.location":                 {java, effect(named("server"))},
		"ssl.keystore.password":                 {with(java, "ssl.keystore.password", "other"), refused("wrong password")},
		"ssl.keystore.type":                     {with(pem, "ssl.keystore.type", "JKS", "ssl.keystore.password", "x"), refused("set ssl.keystore.type=PEM")},
		"ssl.principal.mapping.rules":           {with(pem, "ssl.principal.mapping.rules", "RULE:^CN=(.*)$/$1/U"), effect(mapsToUpper)},
		"ssl.protocol":                          {with(pem, "ssl.protocol", "SSLv3"), refused("ssl.protocol")},
		"ssl.provider":                          {with(pem, "ssl.provider", "BCJSSE"), hint("ssl.provider has no effect")},
		"ssl.secure.random.implementation":      {with(pem, "ssl.secure.random.implementation", "SHA1PRNG"), hint("ssl.secure.random.implementation has no effect")},
		"ssl.trustmanager.algorithm":            {with(pem, "ssl.trustmanager.algorithm", "SunX509"), hint("ssl.trustmanager.algorithm has no effect")},
		"ssl.truststore.certificates":           {with(pem, "ssl.truststore.type", "PEM", "ssl.truststore.certificates", ca.PEM), effect(trusts)},
		"ssl.truststore.location":               {trust, effect(trusts)},
		"ssl.truststore.password":               {with(trust, "ssl.truststore.password", "other"), refused("ssl.truststore.password")},
		"ssl.truststore.type":                   {with(trust, "ssl.truststore.type", "PEM", "ssl.truststore.password", ""), refused("ssl.truststore.type is PEM")},
	}
	for _, key := range metadata.BrokerTable().Keys() {
		if _, tested := tests[key.Name]; strings.HasPrefix(key.Name, "ssl.") && !tested {
			t.Errorf("%s is not tested", key.Name)
		}
	}
	for name, test := range tests {
		for _, prefix := range []string{"", "listener.name.ssl."} {
			properties := map[string]string{"listeners": "SSL://:0"}
			for key, value := range test.set {
				properties[prefix+key] = value
			}
			configs, err := metadata.NewConfigs(1, properties)
			if err != nil {
				t.Fatal(name, err)
			}
			s, err := loadSecrets(configs.Broker().TLS["SSL"])
			if !test.want(s, err) {
				t.Errorf("%s%s: %+v, %v", prefix, name, s, err)
			}
		}
	}
}

func mapsToUpper(s *secrets) bool {
	p, err := s.mapper.Principal("CN=alice")
	return err == nil && p.Name == "ALICE"
}
