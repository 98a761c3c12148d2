// Package dialog is what two SIP user agents remember about each other: the dialog (RFC 3261, 12), the INVITE session
// that lives in it (RFC 3261, 13 to 15) and event subscriptions (RFC 6665). It is sans-I/O: no socket, no goroutine, no
// clock. The runner tells it what arrived and what its user wants, with the time, and gets back what to send and what
// happened:
//
//	out := session.Step(now, dialog.Request{Tx: tx, Msg: invite})   // EvInvite
//	out  = session.Step(now, dialog.Ring{Status: 180})              // OutResponse 180
//	out  = session.Step(now, dialog.Accept{Body: answer})           // OutResponse 200
//	when session.Deadline() has come: session.Step(now, dialog.Tick{})
//
// # What a session takes off its user's hands
//
//   - dialog identifiers, route set, remote target, CSeq (RFC 3261, 12); forks of our INVITE and the 2xx of the losers
//     (RFC 3261, 13.2.2.4);
//   - who may offer when (RFC 3264; RFC 6337), glare with 491 and its waits (RFC 3261, 14), UPDATE (RFC 3311);
//   - reliable provisional responses and PRACK (RFC 3262);
//   - our 2xx until its ACK, their 2xx and its ACK, CANCEL after the first provisional response (RFC 3261, 9 and 13);
//   - the session timer with 422, refreshes by either side and the end of a session whose peer is gone (RFC 4028);
//   - the rule that nobody sends BYE before the ACK (RFC 3261, 15).
//
// What it leaves to the user: what the session descriptions say, whom a REFER transfers, which Replaces are obeyed.
//
// A session keeps no message longer than the transaction that needs it, and copies the few strings a dialog consists
// of, so that an established session costs a few hundred bytes beside its last session description.
package dialog
