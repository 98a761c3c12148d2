// Package capfprofile keeps the enrolment profiles of phones and CTI applications: what the form "Certification
// Authority Proxy Function (CAPF) Information" shows in the field, and what becomes of it.
//
// # A profile
//
// A Profile belongs to one Owner: a device, or an instance of an application or of an end user (user and instance id,
// 1 to 128 letters and digits). It says which Operation is to be done at the next contact (Install/Upgrade, Delete,
// Troubleshoot), how the owner has to prove itself (AuthMode), which key it has to make, and until when. The
// words are the field's: docs/wire/capf.md has the table. Nothing happens that no operator ordered: without a pending
// operation the server answers "no action".
//
//	Create --> Operation Pending --Begin--> claimed --Issued--> unconfirmed --Stored--> Upgrade Success
//	               |    ^                      |                    |
//	               |    +----- Failed: Phone Communication Failure -+      (a new attempt, at most MaxAttempts)
//	               +-- CompletesBy passed --> Upgrade Failed: User Initiated Request Late/Timedout
//
// # The authorization string
//
// It has 4 to 16 digits (letters are taken too), made up here (10 digits) or by the operator, and is good for one success. Only a salted hash is
// kept. The protocol carries no user: an application says "CTI-" and its instance id. Therefore no two pending
// profiles with one instance id may have the same string; that is refused when the second is created, by trying the
// string on the hashes of the others, under a guard document that makes concurrent creations notice each other.
//
// Guessing: after MaxFailures wrong strings in a row a profile is locked for LockFor, then twice as long, up to
// MaxLock. A wrong string never ends the operation, since then anybody could end it. Reset lifts a lock-out.
//
// # Two certificates at a time
//
// The certificate is entered in the profile as Unconfirmed before it is sent, and becomes the LSC when the owner says
// that it has stored it. Until then the former LSC is the LSC. After that the former one is Superseded: it is revoked
// as soon as the new one has been seen in use (Used), or after Grace. An unconfirmed certificate may have been stored
// by a phone whose answer was lost: it stays valid too, becomes the LSC when it is seen in use, and is revoked when a
// later enrolment succeeds and its certificate is used, or after Grace. So no order of lost messages leaves a phone
// without a certificate that works.
//
// # The offline authority
//
// When certificates come from an authority that people carry files to, a Queue keeps the requests: see Request.
package capfprofile
