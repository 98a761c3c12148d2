// Package enroll is the client's side of trust that provisions itself: how an application or a phone learns whom to trust
// and obtains its certificate.
//
//	                 TFTP 69 / HTTP 6970                        TLS 3804 (CAPF)
//	     +-----------------------------------+   +--------------------------------------------+
//	1 fetch the trust list (CTL)  2 verify it   3 connect, the server must stand in the list
//	                                            4 prove who we are   5 make a key, here
//	                                            6 store the certificate, then say so
//
// An application (Client) has an instance id and sends DEVICE_NAME "CTI-<instance id>"; it asks for CTLCAPF<hex address>.tlv
// as JTAPI and TSP clients do. A device has a name and asks for CTL<name>.tlv. Phone adds what only phones do: the ITL and
// the signed and encrypted configuration.
//
// # Whom the first list is trusted by
//
// An authorization string may be a join token (capf.JoinToken), which names the certificates that may sign the first list.
// Then nothing is trusted on first use: a list signed by anybody else is refused before anything is sent. A plain string
// works as in the field: the first list has to be consistent in itself, and Result.Pinned is false. Every later list must
// be signed by a signer that the list held names, whatever the first one was trusted by.
//
// # What is on disk
//
// A folder DIR/tsp001 as the field's clients have it:
//
//	CTLFile.tlv.sgn     the list held, as it was downloaded (a phone has ITLFile.tlv.sgn beside it)
//	<hash>.0            each certificate of the list in PEM, named by its OpenSSL subject hash; .1, .2 on collision
//	CallManager.cer     the call manager's certificate, DER
//	QBEClient.cer       our certificate, DER
//	QBEClient.pem       our private key, PKCS #8 in PEM, mode 0600
//	QBEClient.pem.next  the key of an enrolment under way; it survives an authority that takes days
//	enrolment.json      what the folder is for and how it came to be, without secrets
//
// Each file is replaced in one piece, and the pair of certificate and key is repaired when a folder is opened, so that a
// crash at any point leaves the old pair or the new one. The server is told "stored" only after the pair is on disk.
// One process uses a folder at a time.
package enroll
