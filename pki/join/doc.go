// Package join is how a second and further node comes into a cluster: the one-time token, its redemption, and what is handed over.
//
//	member                                              newcomer
//	  |   locktone node token --name n2                    |
//	  |   (secret, expiry, pin of the cluster's CA) - - - >|   carried by a person, out of band
//	  |                                                    |
//	  |<------------- TLS, GET /v1/join -------------------|   nothing secret is sent or believed yet
//	  |-------------- the CA's certificates -------------->|   their SHA-256 must be the pin
//	  |                                                    |
//	  |<------------- TLS, POST /v1/join ------------------|   the chain verifies under those certificates and the name
//	  |               id, secret, claim, name, address     |   dialled, or the secret is not sent
//	  | takes the token, adds the node: one revision       |
//	  |-------------- cluster key, DSN, bus -------------->|   written with mode 0600; node.yaml last
//
// A token is taken once, by the claim: a random number that the newcomer has written down before it asks. Whoever comes with another claim
// finds the token used. The newcomer itself may ask again with the same one until the token expires, so that a power failure in the middle
// costs nothing. The record keeps hashes only; of two that redeem a token at once the store lets one win.
//
// What is handed over is everything: whoever has it reads the record and can issue any certificate. A token is as good as the cluster key
// for as long as it is valid and unused.
package join
