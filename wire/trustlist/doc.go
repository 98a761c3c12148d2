// Package trustlist reads and writes the files with which phones and telephony applications are told whom to trust: CTL and
// ITL files, signed (.sgn) and encrypted (.enc.sgn) configurations. docs/wire/trustlist.md specifies every field and says how
// it is known; there is no public standard.
//
// # Who reads what, and why
//
// A phone fresh from its box knows nobody. It asks its TFTP server for two lists of certificates with roles:
//
//	ITL, initial trust list      the list's signer (SAST), who signs configurations (TFTP, CCM+TFTP), who may be
//	                             asked about certificates that are not listed (TVS), who enrols devices (CAPF)
//	CTL, certificate trust list  in a cluster in mixed mode: the signers (SAST, two so that one can be lost), the call
//	                             managers to which calls are encrypted (CCM+TFTP), CAPF
//
// The first lists are taken on trust; from then on a list is taken only from somebody whom the lists held vouch for
// (AcceptPhone), or whom a trust verification service vouches for (AcceptVouched). Applications (JTAPI, TSP) are stricter:
// only a SAST of the list held counts (AcceptJTAPI). A join token does away with the leap of faith (AcceptPinned). Whoever
// changes signers has to think of the devices that sleep with an old list: that is package rotation.
//
// # The bytes
//
// Everything is tag (u8), length (u16), value. A header says who signed and how, and carries the signature; records follow (a
// list), or the file that was signed:
//
//	offset 0   01 0002 0102            VERSION 1.2: a list
//	           02 0002 0180            HEADER LENGTH 384, padding included
//	           1c 0002 0101            SIGNER VERSION 1.1
//	           03 0043 {04 05 06}      SIGNER ID: subject, serial number, issuer
//	           07 000f {08 09{0a 0b}}  SIGNATURE INFO: digest, algorithm, size of the modulus
//	           0c 0100 ...             SIGNATURE: over the whole file but this element
//	           0e 000c ITLFile.tlv\0   FILENAME
//	           0f 0004 6b01e843        TIMESTAMP
//	           0d 0d 0d                PADDING to a multiple of four: bare bytes
//	384        01 0002 05c5            RECORD LENGTH 1477, itself included
//	           02 ... 0a ...           name, subject, role, issuer, serial, key, signature, certificate, address
//
// An Element is that, and nothing is lost between Parse and Append: unknown tags, order and padding stay. Header and Record are
// views of elements. A list is written from a Draft of Entries, in the order and with the forms of names that the strictest
// reader known needs; what a reader would misread is refused with a typed error, what some reader stumbles over is a Warning.
//
// # What can go wrong
//
// Readers disagree about digest code 3 (Reading): SHA-256, the default, means the same to all. A signer's key has a size code and
// 3072 bits have none. Two certificates of one name in one role shadow each other in key stores (DuplicateNameError). Old
// certificates are found in folders by two different hashes of their subject (SubjectHash, SubjectHashOld).
//
// The codec is total: any input parses or gives a FormatError with an offset, in time and memory linear in its length.
package trustlist
