// Package lists publishes the site's trust lists: from what each service says of itself (Member) and the signers it makes
// CTL and ITL files (package wire/trustlist), keeps every version as long as anybody may hold it, remembers who fetched
// which (Holdings), and picks for each device the variant that it can verify.
//
//	services --Announce--> Members --+                        +--> Reader --> provisioning, TVS, show ctl|itl
//	                                 |                        |      ^
//	pki.Signers ---------------------+--> Publisher --> versions     | which signers may the device know?
//	cluster.securityMode ------------+      |                        |
//	                                        +-- kept while held -- Holdings <-- Fetched, Confirmed
//
// # One version, several variants
//
// A device takes a new list only from a signer that its present list names as SAST. So a version is signed by each signer
// whose key is here, once each: a variant. Its signer stands first among its SAST records, since JTAPI clients refuse a
// list that does not name its own signer, and phones may look at two SAST records only. Reader.For serves the variant whose
// signer is in every list the device may hold: the last one confirmed, and all it fetched since, for a list that was
// fetched was not necessarily stored.
//
// # What a list says
//
// CTL: the signers, then call managers, TFTP servers and CAPF; ITL: the signers, then TFTP servers, TVS and CAPF. Every
// certificate of a member is listed, RSA before EC, active before staged before retiring; their common names differ, since
// JTAPI clients keep one certificate per role and name, and the last one wins. Of the call manager the client certificates
// are listed as well: a voicemail server compares what it is presented. A server's RSA certificates have a record for its
// host name and one for each of its addresses, since voicemail servers look for the text they were configured with. The
// CTL of a cluster that is not secure keeps the signers and is signed, and says of the call manager only where it is.
package lists
