// Package custody keeps the keys that a cluster has in common in its record: the certificate authority and the signers of the trust
// lists, sealed, so that every node can issue and sign, and a node that burns down takes nothing with it.
//
//	record (PostgreSQL)                      HOME/pki of each node (mode 0600)
//	+--------------------------------+       +---------------------------------------+
//	| collection "custody"           |       | cluster-key.pem   opens the boxes     |
//	|   ca            sealed         | <---- | service/*.pem     keys of the services|
//	|   signer/sast-1 sealed ...     |       |                   of this node only   |
//	+--------------------------------+       +---------------------------------------+
//
// A box is AES-256-GCM under a key derived from the cluster key (HKDF-SHA-256); the name of the secret is authenticated with it, so that
// whoever can write the database can neither read a secret nor put one in the place of another. What such a person can do is to bring an
// older box back, or none: then nothing can be issued or signed, and nothing secret is lost.
//
// The cluster key itself is on every node, and nowhere in the record. A node gets it when it joins (package pki/join).
package custody
