// Package rotation replaces the certificates a site stands on without losing anybody who trusts them.
//
// # What can go wrong
//
// A phone knows its call manager, its configuration's signer, CAPF and TVS by the very certificates in the trust lists it
// fetched last, not by a CA. It takes a newer list only when one of the signers (SAST) in the list it holds has signed it,
// or when a TVS whose certificate it holds vouches for the signer. Replace what it holds and what would tell it of the
// replacement at the same time, and it can verify nobody any more: somebody has to walk up to it. That is the field's best
// known accident (CallManager, TVS and ITL certificates renewed together).
//
//	                 signs                     lists                 presents
//	signer (sast-1) -------> list, version n --------> certificate <---------- service
//	    ^                        ^                         ^
//	    | knows                  | holds                   | verifies with the list it holds
//	    +----------------------- device -------------------+            root <--- LSC of the device
//
// # The graph
//
// A State says which certificates exist, by Member (a service on a node, a list signer, the CA's roots) and Generation, and
// what the published List names. A Device says what one phone, CTI application or trunk peer holds: from the bytes of the
// lists it fetched last, or, for a peer, from what its operator was told. Both are values without a clock, a key or a
// certificate; whoever fills them in reads the real bytes.
//
// # Stranded
//
// State.Stranded defines it exactly; everything else is built on that one function. A sleeping device is not an exception:
// it wakes up in whatever state the site is in by then, with the list it held when it fell asleep. It survives because a
// list is published in one variant per signer whose key we still have, and because a key is retired only when nobody is left
// who needs it.
//
// # Planning and running
//
// New makes a Plan: steps of stage, publish, wait, activate and retire in an order that keeps for every device one way to
// learn of the next change, with the devices each wait is about; and beside it the orders people think of first, each with
// its victims. A Plan with victims is refused unless they are named one by one. Runner runs it: each step is idempotent and
// written down before and after, every gate is computed anew from what the devices hold then.
//
// # Forecast
//
// Forecast asks the one verifier (pki.Trust.Verify) about every chain the site holds, and every chain it saw from a peer, at
// later times: what breaks, when, and by which rule.
package rotation
