// Package peers runs programs nobody here wrote, headless and on loopback, so that tests can hold the product against
// them: the softphones baresip and linphonec, the proxy Kamailio, the scenario runner SIPp behind stunnel (Debian's SIPp
// has no TLS), and the analyser tshark.
//
// Every program gets a folder of its own with a configuration written here, is started in its own process group, is
// waited for by an event it emits (a line of its log, a message on its control port) and never by sleeping, and is ended
// by its process id. A test asks for a program with Need: where it is missing the test is skipped with the reason and
// the Debian package that brings it, or fails when LOCKTONE_REQUIRE_PEERS=1.
package peers
