// Package tieleg is the dialect of SIP that the call managers of one cluster speak with each other, and what turns it into the words
// of the call engine and back.
//
//	phone A -- call of node n1 ==tie== call of node n2 -- phone B
//
// A call between devices on two nodes is two ordinary calls, one in each engine, and a tie: a SIP dialog over mutual TLS whose ends are
// an ordinary leg in either call. Everything SIP has words for is said in SIP: who calls and who is connected (P-Asserted-Identity,
// which is told as it is inside the cluster, restricted or not), which way the call came (Diversion), how a phone is to ring, offers and
// answers with their keys, refreshes, the end and its cause (Reason), and the id that is the same on all nodes (Session-ID). The header
// field Locktone-Tie carries the rest; see Header, and docs/wire/tie.md for the whole dialect.
//
// # Who may say it
//
// The header field is an order: ring exactly this device, whatever its user wants; take that call. It is believed from a peer whose
// certificate is that of another call manager of this cluster, and read from nobody else. It is sent to nobody else either: only the
// profile of a tie (Profile) has the Dialect.
//
// # When the connection is lost
//
// Media goes from phone to phone. A tie that cannot be signalled on ends nothing: a refresh that finds nobody is repeated, and the session
// goes on; only a peer that is there and does not know the dialog any more (481) ends it. See sipleg.Dialect and dialog.TimerConfig.Patient.
package tieleg
