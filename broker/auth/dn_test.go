package auth

import (
	"encoding/base64"
	"testing"
)

// The expected names are Java's, of the same bytes.
func TestDistinguishedName(t *testing.T) {
	for _, c := range []struct{ der, want string }{
		{`MFcxCzAJBgNVBAYTAkNIMQswCQYDVQQIEwJCRTENMAsGA1UEBxMEQmVybjENMAsGA1UEChMETGVhdDENMAsGA1UECxMETWlsbDEOMAwGA1UEAxMFYWxpY2U=`, `CN=alice,OU=Mill,O=Leat,L=Bern,ST=BE,C=CH`},
		{`MDkxGTAXBgNVBAoTECBsZWFkIGFuZCB0cmFpbCAxHDAaBgNVBAMME2EsYitjPWQiZVxmPGc+aDtpI2o=`, `CN=a\,b\+c\=d\"e\\f\<g\>h\;i\#j,O=\ lead and trail\ `},
		{`MDkxEzARBgNVBAMMClpvw6sgR3LDvG4xCzAJBgNVBAUTAjc3MRUwEwYJKoZIhvcNAQkBFgZhQGIuY2g=`, `1.2.840.113549.1.9.1=#16066140622e6368,2.5.4.5=#13023737,CN=Zoë Grün`},
		{`MDQxCTAHBgNVBAoTADEKMAgGA1UEBBMBWDELMAkGA1UEDBMCRHIxDjAMBgNVBAMMBSNoYXNo`, `CN=\#hash,2.5.4.12=#13024472,2.5.4.4=#130158,O=`},
		{`MGIxDzANBgNVBAkTBk1haW4gMTEXMBUGCgmSJomT8ixkARkWB2V4YW1wbGUxFDASBgoJkiaJk/IsZAEZFgRsZWF0MSAwDAYDVQQDEwVtdWx0aTAQBgoJkiaJk/IsZAEBEwJ1MQ==`, `CN=multi+UID=u1,DC=leat,DC=example,STREET=Main 1`},
		{`MAA=`, ``},
	} {
		der, err := base64.StdEncoding.DecodeString(c.der)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DistinguishedName(der); err != nil || got != c.want {
			t.Errorf("%s, %v; want %s", got, err, c.want)
		}
		for n := range der {
			if got, err := DistinguishedName(der[:n]); err == nil {
				t.Errorf("cut at %d: %s", n, got)
			}
		}
	}
}

func TestPrincipalRules(t *testing.T) {
	const dn = "CN=kafka.example.com,OU=Mill,O=Leat"
	for _, c := range []struct{ rules, want string }{
		{"", dn},
		{"DEFAULT", dn},
		{"RULE:^CN=(.*?),OU=(.*?),.*$/$1@$2/L, DEFAULT", "kafka.example.com@mill"},
		{"RULE:^CN=([^.]*)\\..*/$1/U", "KAFKA"},
		{"RULE:^CN=nobody.*$/x/,RULE:^.*OU=(.*?),O=(.*)$/$2-$1-$3/", "Leat-Mill-$3"},
		{"RULE:CN=(.*?),.*/$12/", "kafka.example.com2"},
		{`RULE:.*/a\/b\$1/`, "a/b$1"},
		{"RULE:CN=x/x/", "error"},
		{"RULE:CN=x", "error"},
		{"RULE:(/x/", "error"},
		{"NONE", "error"},
		{"DEFAULT x", "error"},
	} {
		m, err := ParsePrincipalRules(c.rules)
		var got Principal
		if err == nil {
			got, err = m.Principal(dn)
		}
		if c.want == "error" != (err != nil) || err == nil && got.String() != "User:"+c.want {
			t.Errorf("%s: %s, %v; want %s", c.rules, got, err, c.want)
		}
	}
}

func FuzzPrincipalRules(f *testing.F) {
	f.Add("RULE:^CN=(.*?),.*$/$1/L,DEFAULT", "CN=a,O=b")
	f.Fuzz(func(t *testing.T, rules, name string) {
		if m, err := ParsePrincipalRules(rules); err == nil {
			if p, err := m.Principal(name); err == nil && p.Type != "User" {
				t.Errorf("%v", p)
			}
		}
	})
}
