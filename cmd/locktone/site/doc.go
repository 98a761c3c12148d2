// Package site starts and stops everything one node runs: store, bus, certificate authority, the services, in that order.
// It is the one list of services (docs/architecture.md, section 1); `locktone up` starts it for a home folder, package lab
// for throw-away sites.
//
// # The home folder
//
//	locktone.db     system of record (unless node.yaml names PostgreSQL)
//	copy.db         this node's copy of the record in PostgreSQL; can be removed while the node is stopped and PostgreSQL is there
//	outbox.db       call records and settings of users that wait for PostgreSQL; must not be removed
//	pki/            keys of the certificate authority and of the services, mode 0600; with PostgreSQL the authority's are in the record,
//	                sealed, and the cluster key that opens them is here
//	trust/          certificates of foreign authorities: trust/devices/*.pem, trust/peers/*.pem; their revocation lists: *.crl
//	phones/NAME/    ready files for softphones of a new site: certificate, key, account lines
//	trace/          trace segments
//	admin.sock      administration for the user that runs the site
//	admin.tokens    bearer tokens for the HTTPS API
//	lock            held while a site runs, so that two never share a folder
package site
