package auth

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// ErrName says that a distinguished name cannot be read.
var ErrName = errors.New("distinguished name")

// dnAttribute is a part of a distinguished name.
type dnAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// DistinguishedName writes the DER form of a certificate's subject as Java does
// by RFC 2253, so that ACLs which name it hold here as well: the most specific
// part first, attributes without a name there as numbers with their value in hex.
func DistinguishedName(der []byte) (string, error) {
	var sets []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &sets); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("%w: %d bytes that are no sequence", ErrName, len(der))
	}
	var b strings.Builder
	for i := len(sets) - 1; i >= 0; i-- {
		var attributes []dnAttribute
		if _, err := asn1.UnmarshalWithParams(sets[i].FullBytes, &attributes, "set"); err != nil {
			return "", fmt.Errorf("%w: part %d: %w", ErrName, i, err)
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		for j, a := range attributes {
			if j > 0 {
				b.WriteByte('+')
			}
			a.append(&b)
		}
	}
	return b.String(), nil
}

func (a dnAttribute) append(b *strings.Builder) {
	name, known := dnNames()[a.Type.String()]
	text, isText := dnText(a.Value)
	if known && isText {
		b.WriteString(name + "=" + escapeDN(text))
		return
	}
	if !known {
		name = a.Type.String()
	}
	b.WriteString(name + "=#" + hex.EncodeToString(a.Value.FullBytes))
}

// dnNames are the attributes that RFC 2253 has a name for.
func dnNames() map[string]string {
	return map[string]string{
		"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
		"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
	}
}

// dnText decodes the kinds of strings.
func dnText(v asn1.RawValue) (string, bool) {
	switch {
	case v.Class != asn1.ClassUniversal:
	case v.Tag == asn1.TagUTF8String:
		return strings.ToValidUTF8(string(v.Bytes), "\ufffd"), true
	case v.Tag == asn1.TagPrintableString || v.Tag == asn1.TagIA5String:
		return string(v.Bytes), true
	case v.Tag == asn1.TagT61String || v.Tag == asn1.TagGeneralString: // taken for Latin-1
		r := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			r[i] = rune(c)
		}
		return string(r), true
	case v.Tag == asn1.TagBMPString && len(v.Bytes)%2 == 0:
		u := make([]uint16, len(v.Bytes)/2)
		for i := range u {
			u[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		return string(utf16.Decode(u)), true
	}
	return "", false
}

// escapeDN marks what has a meaning in names, and spaces at the ends.
func escapeDN(s string) string {
	inner := strings.Trim(s, " ")
	head := strings.Index(s, inner)
	if inner == "" {
		head = len(s)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(`\ `, head))
	for _, r := range inner {
		switch {
		case r == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`,=+<>#;"\`, r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(`\ `, len(s)-head-len(inner)))
	return b.String()
}
