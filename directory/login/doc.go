// Package login says whether somebody who names a user and a password is that user, and may be: local passwords (argon2id), LDAP
// directories, the credential policy (lock-out, expiry), and what is remembered of each account.
//
// # A login
//
//	Check --> turn of the user --> account --> policy: locked? --> the password --> policy: disabled, expired? --> account --> Result
//	          (one after the other)  (store)                        |  local: argon2id, bounded in memory
//	                                                                |  ldap: a lane for each directory
//	                                                                |  ldap away: what was verified before, if the policy says so
//
// What happens is told as it happens, in the words of the field's traces, to the StageFunc of the caller, and the stages of the last login
// are kept for `locktone login explain`. No stage carries a password.
//
// # Nobody is stalled
//
// A slow directory holds up only its own users: each directory has a lane of its own, local passwords have another, and an attempt that has
// not been answered within its limit (10 s) fails with Timeout. Logins of one user follow each other, so that guesses in parallel are no
// more than guesses in a row; those that wait with the same password as one that begins after they came share its answer. How many may wait
// is bounded, for one user and in all. Memory is bounded too: argon2id takes 19 MiB for each login under way, and what a
// verifier demands is taken from one budget.
//
// # Who asks learns little
//
// An unknown user takes the work of a known one, gets the same answer, and is locked out by the same policy (in memory). Failures are
// answered no earlier than a quarter of a second after they began. That an account is disabled or its password expired is said only to who
// knows the password.
//
// # The account
//
// Failed logins, lock-outs and the age of the password are documents of the store: they survive a restart and count on every node. While
// PostgreSQL is away they wait in the node's outbox. Two nodes that are guessed at in the same moment may each look at one password more.
// Verifiers of earlier passwords, and of what a directory confirmed, are in a collection of their own, which nothing shows.
package login
