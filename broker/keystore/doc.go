// Package keystore reads private keys and trusted certificates in the forms in
// which Kafka's settings name them: PEM texts and files, PKCS12 and JKS files.
// It also translates Java's names of TLS versions and cipher suites.
//
// Layer: L0, so that brokers and clients share it. PKCS12 and JKS files are read
// by libraries; kinds of files that those do not read are refused, with the
// command of keytool or OpenSSL that converts them. It starts no goroutine.
//
// Invariants:
//   - a file is read up to a fixed size, and the work that a damaged file can ask
//     of a password's derivation is bounded;
//   - a PKCS12 or JKS file is used only after its checksum has shown that the
//     password is right, but for PKCS12 trust stores that have neither;
//   - no error holds a password or a key.
package keystore
