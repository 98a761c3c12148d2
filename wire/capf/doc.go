// Package capf is the Certificate Authority Proxy Function protocol on the wire: how a phone or a CTI application obtains
// its locally significant certificate (LSC) over TLS on TCP port 3804. There is no public standard; docs/wire/capf.md is
// our specification, with the source of every field.
//
// The server speaks first. A message is a head of eight octets and elements in any order:
//
//	0x55 | command u8 | session id u32 | length u16 | ( tag u8 | length u16 | value )*
//
//	        install                          fetch                 delete
//	S>C  1 AUTH_REQ        version, mode     the same              the same
//	C>S  2 AUTH_RES        name, string
//	S>C  3 KEYGEN_REQ      size or curve    11 FETCH_CERT_REQ     13 DELETE_CERT_REQ
//	C>S 17 IN_PROGRESS     while it counts  12 FETCH_CERT_RES     14 DELETE_CERT_RES
//	C>S  4 KEYGEN_RES      public key
//	S>C  9 STORE_CERT_REQ  certificate
//	C>S 10 STORE_CERT_RES  stored
//	S>C 15 END_SESSION     reason           15 END_SESSION        15 END_SESSION
//
// The package has three layers. The codec (Message, Element, Decode, Append, Read, Write) is lossless: what was decoded
// encodes to the same octets, and two different inputs never decode to the same message. The typed messages (AuthRequest,
// AuthResponse, KeygenRequest, ...) say what the elements mean and are lenient where real peers differ: text with or
// without its NUL, elements missing or in any order, versions 1 (JTAPI clients), 2 (Jabber) and 3 (phones). Client is the
// dialogue of the phone's side as a machine without sockets; Server sides are built on the typed messages.
//
// What the protocol proves: an authorization string or an existing certificate (VerifyProof, VerifySUDI) authenticates the
// device; nothing proves possession of the new key, so a public key is checked with CheckKey before it is certified.
package capf
