// Package certfile reads and writes certificates in the files that people carry between products.
//
// Every product has its own opinion: a voicemail server saves its root as <name>.0 and means a PEM file, a Windows CA
// exports DER or a PKCS #7 bundle (.p7b), a gateway wants PKCS #12, OpenSSL finds an authority by a file named by the
// hash of its subject. The name of a file says nothing about what is in it, so Read looks at the content (Sniff), and
// an error says what was found where something else was expected.
//
// Written are PEM and DER (RFC 7468, 5.1: the text form), PKCS #12 (RFC 7292, 4: the PFX structure) encrypted with
// AES-256 under PBKDF2, or on request with the ciphers of 1996 that old products know alone, and <hash>.0 under the
// present and the former hash of OpenSSL. Read are also PKCS #7 bundles of certificates (RFC 2315, 9.1: signed data
// without a signer).
//
// A private key leaves in PKCS #12 under a password only.
package certfile
