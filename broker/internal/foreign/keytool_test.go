package foreign

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/keystore"
)

// keytools are the programs keytool of the JDKs on this machine.
func keytools(t *testing.T) []string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/jvm/*/bin/keytool") // the pattern is good
	seen := map[string]bool{}
	var tools []string
	for _, path := range found {
		if real, err := filepath.EvalSymlinks(path); err == nil && !seen[real] {
			seen[real] = true
			tools = append(tools, real)
		}
	}
	if len(tools) == 0 {
		t.Skip("no JDK in /usr/lib/jvm")
	}
	return tools
}

// javaForms are the forms in which keytool of several versions of Java writes:
// PKCS12 as in Java 8 and 11, as in 17 and later, and JKS.
func javaForms() map[string][]string {
	return map[string][]string{
		"PKCS12 of Java 8 and 11": {"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.legacy"},
		"PKCS12":                  {"-storetype", "PKCS12"},
		"JKS":                     {"-storetype", "JKS"},
	}
}

// What keytool makes on this machine is read: an RSA key and an EC key, trust
// stores with several certificates.
func TestKeytool(t *testing.T) {
	if testing.Short() {
		t.Skip("Java starts slowly")
	}
	for _, tool := range keytools(t) {
		for form, args := range javaForms() {
			t.Run(filepath.Base(filepath.Dir(filepath.Dir(tool)))+"/"+form, func(t *testing.T) { tryKeytool(t, tool, args) })
		}
	}
}

func tryKeytool(t *testing.T, tool string, form []string) {
	dir := t.TempDir()
	keytool := func(store string, args ...string) {
		t.Helper()
		args = append(append(args, "-keystore", filepath.Join(dir, store), "-storepass", "geheim1", "-noprompt"), form...)
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("keytool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for name, algorithm := range map[string]string{"RSA": "-keysize", "EC": "-groupname"} {
		value := map[string]string{"RSA": "2048", "EC": "secp256r1"}[name]
		keytool(name, "-genkeypair", "-alias", "Broker", "-keyalg", name, algorithm, value, "-dname", "CN="+name, "-validity", "2")
		keys, err := keystore.KeyStore{Location: filepath.Join(dir, name), Password: "geheim1"}.Load()
		if err != nil || len(keys) != 1 || keys[0].Leaf.Subject.CommonName != name {
			t.Fatalf("%s: %v, %d keys", name, err, len(keys))
		}
		keytool(name, "-exportcert", "-rfc", "-alias", "broker", "-file", filepath.Join(dir, name+".pem"))
		keytool("trust", "-importcert", "-alias", "CA "+name, "-file", filepath.Join(dir, name+".pem"))
	}
	certs, err := keystore.TrustStore{Location: filepath.Join(dir, "trust"), Password: "geheim1"}.Load()
	if err != nil || len(certs) != 2 {
		t.Errorf("%v, %d trusted certificates", err, len(certs))
	}
}
