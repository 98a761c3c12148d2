// Package desc is the offer/answer model of RFC 3264 as pure functions and one small state: what an endpoint offers,
// how it answers, when an answer may be accepted, and what media then flows.
//
//	 offerer                          answerer
//	Endpoint.Offer  ----- offer --->  Endpoint.Answer     chooses codec and crypto, own key
//	Endpoint.Accept <---- answer ---                      same number and order of m= lines
//
// The rules that matter to security: an endpoint whose Security is Required never sends or accepts a stream without a
// key it can use, the answer echoes the tag of the chosen crypto and brings a key of its own (RFC 4568, 5.1.2), keys
// stay while nobody asks for others, and a description that says the same as before says it with the same version.
//
// There is no clock, no network and no randomness in here: keys come from a KeySource.
package desc
