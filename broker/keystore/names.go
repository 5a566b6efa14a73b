package keystore

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Versions are the lowest and the highest version of TLS in a list of Java's
// names; none stands for TLSv1.2 and TLSv1.3.
func Versions(names []string) (lowest, highest uint16, err error) {
	known := map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	var versions []uint16
	for _, name := range names {
		v, ok := known[name]
		if !ok {
			return 0, 0, fmt.Errorf("%w: ssl.enabled.protocols: %q is not served; known are TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3", ErrStore, name)
		}
		versions = append(versions, v)
	}
	if len(versions) == 0 {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	lowest, highest = slices.Min(versions), slices.Max(versions)
	for v := lowest; v < highest; v++ {
		if !slices.Contains(versions, v) {
			return 0, 0, fmt.Errorf("%w: ssl.enabled.protocols: %s leaves out a version in between", ErrStore, strings.Join(names, ","))
		}
	}
	return lowest, highest, nil
}

// CheckProtocol refuses a value of ssl.protocol that is no version of TLS. Which
// version is used is the matter of ssl.enabled.protocols.
func CheckProtocol(name string) error {
	if name == "" || name == "TLS" {
		return nil
	}
	if _, _, err := Versions([]string{name}); err != nil {
		return fmt.Errorf("%w: ssl.protocol: %q is not served", ErrStore, name)
	}
	return nil
}

// Restrict applies a list of cipher suites by their standard names to c, whose
// versions are set. The suites of TLS 1.3 cannot be chosen one by one: warning
// says so where it matters, and which suites are not known here.
func Restrict(c *tls.Config, names []string) (warning string, err error) {
	if len(names) == 0 {
		return "", nil
	}
	old, modern, unknown := sortSuites(names)
	if len(old) == 0 && len(modern) == 0 {
		return "", fmt.Errorf("%w: ssl.cipher.suites: none of %s is known", ErrStore, strings.Join(names, ","))
	}
	if len(modern) == 0 {
		c.MaxVersion = min(c.MaxVersion, tls.VersionTLS12)
	}
	if len(old) == 0 {
		c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	}
	if c.MinVersion > c.MaxVersion {
		return "", fmt.Errorf("%w: ssl.cipher.suites has none for the versions in ssl.enabled.protocols", ErrStore)
	}
	c.CipherSuites = old
	var warnings []string
	if len(unknown) > 0 {
		warnings = append(warnings, "not known and left out: "+strings.Join(unknown, ","))
	}
	if all := modernSuites(); len(modern) > 0 && len(modern) < len(all) && c.MaxVersion >= tls.VersionTLS13 {
		warnings = append(warnings, "TLS 1.3 always offers "+strings.Join(all, ","))
	}
	return strings.Join(warnings, "; "), nil
}

// sortSuites tells the suites of TLS 1.3 from older and unknown ones.
func sortSuites(names []string) (old []uint16, modern, unknown []string) {
	for _, name := range names {
		switch id, ok := suiteID(name); {
		case slices.Contains(modernSuites(), name):
			modern = append(modern, name)
		case ok:
			old = append(old, id)
		default:
			unknown = append(unknown, name)
		}
	}
	return old, modern, unknown
}

func suiteID(name string) (uint16, bool) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if s.Name == name {
			return s.ID, true
		}
	}
	return 0, false
}

func modernSuites() []string {
	return []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
}
