// Package truststore keeps the certificates of others that the cluster trusts, each for a purpose.
//
// In the field an administrator uploads a certificate "as CallManager-trust", waits for it to reach every node, and
// restarts the service that has to know it; which trust store a product reads at which moment is folklore. Here a
// purpose is a row of one table (Purposes) that says what follows from an upload:
//
//	purpose            anchors for (handshakes)   the verification service answers
//	callmanager-trust  peer; device when asked    nothing; call manager, TFTP when asked
//	capf-trust         device                     nothing
//	phone-sast-trust   -                          SAST and TFTP
//	tvs-trust          -                          TVS
//	tomcat-trust       -                          application server, also for what a CA here issued
//	phone-vpn-trust    -                          application server, also for what a CA here issued
//	directory-trust    peer, of LDAP alone        nothing
//
// callmanager-trust holds the roots of voicemail servers, gateways, carriers and other clusters: whoever has a
// certificate under one may be the far end of a trunk, and nothing else. In the field the same store also holds the
// manufacturer's roots, so that a phone without an LSC registers with its MIC. That is asked for here by naming the kind
// at the upload: a carrier's root must not authenticate phones because of the shelf it was put on. For the same reason
// a certificate here is not told to phones as a call manager of theirs unless the upload says so; a cluster migration
// does.
//
// capf-trust holds the manufacturer's roots: the certificate a phone was made with opens its enrolment.
//
// phone-sast-trust holds the list signers of another cluster. A phone that moves here with that cluster's lists asks
// the verification service (package service/tvs) about the signer of ours, and one that goes back about theirs.
//
// directory-trust holds the roots of LDAP directory servers. It makes nobody the far end of a trunk, and the roots of trunks make nobody a
// directory: connections to directories have a trust set of their own.
//
// The certificates are in the system of record, one document each, so that every node has them at once; Store.Watch
// tells of a change, and the next handshake and the next answer go by it. What is removed or revoked keeps its document
// with who did it and why, and is no anchor from that moment on.
package truststore
