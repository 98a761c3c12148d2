// Package rights says whether a user may control a device through CTI, and which condition is the first that is not met.
//
// # One list
//
// The conditions stand in one ordered list, in the order in which an application meets them: is there a CTI Manager, does it listen, may the
// user log in, may it come to this port, is its certificate good, may it control the device, the line, is the device there. Whoever decides
// asks this list: the CTI Manager refuses with the Result of the first condition that fails at its step, and `locktone cti why` walks all of
// them with everything the site knows.
//
//	Reach -> Login -> Provider -> Certificate -> Device -> Line -> State -> Keys
//
// # Facts
//
// A condition is a function of Facts and of nothing else: no clock, no network. What is not known is nil in Facts, and the conditions that
// would need it say so and fail nobody. Who gathers the facts is somebody else's work: the CTI Manager knows its site and its client,
// administration asks the record and the other services.
//
// # What a refusal is worth
//
// The values are those of the field's error table (docs/wire/ctiqbe.md). A condition without a value is one at which no CTI Manager is there
// to say anything, or at which the field refuses nothing: a device that is not registered opens, and is out of service.
package rights
