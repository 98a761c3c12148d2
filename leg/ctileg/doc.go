// Package ctileg is the driver for terminals: CTI ports and route points, whose legs belong to an application. The far end of such a leg is
// nothing but an address and what the application said it can do there: its codecs, as payload codes of CTIQBE, and its SRTP algorithms.
//
//	engine --Ring, AnswerNow, AcceptNow, Reoffer, Confirm, Release--> driver goroutine
//	engine <--Alerting, Answered, ReofferAnswered, Released---------- driver goroutine <-- Address, End: the application, by the CTI manager
//
// Descriptions go through the media plane as they do for a SIP phone: the driver speaks for the terminal (package media/desc), so that keys,
// hold, music and relays work for terminals as for everybody. The keys that it makes for the terminal are in the descriptions alone; an
// entitled application is given them by the media plane's keys, sealed, like those of any leg.
//
// A terminal's media is static (one address, named with the registration), dynamic (an address for each call, asked for when the call is
// answered), or none: a route point that only redirects. A call that its application has neither accepted, answered nor redirected within
// the New Call Accept Timer is released, and goes where its line's forwards say.
package ctileg
