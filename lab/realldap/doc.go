// Package realldap runs LDAP servers that nobody here wrote, for tests: OpenLDAP's slapd, and a Samba domain controller, which answers as
// Active Directory does. Each runs in a temporary folder on loopback, so that nothing of the machine is touched.
//
//	dir := realldap.Slapd(t, realldap.SlapdConfig{})        // users alice, bob (disabled) and others under dc=corp,dc=test
//	dc := realldap.Samba(t)                                   // one per test process; root only, since its ports are fixed
//
// Where a server is not installed the test is skipped, and the reason printed; LOCKTONE_REQUIRE_PEERS=1 makes that a failure.
package realldap
