// Package contact holds the words that call servers and the contact centre say to each other about a contact: a caller who is to be
// greeted, asked, queued and connected to somebody. It is pure values; the bus carries them as JSON.
//
// A call server has the caller. It does not know where the caller should go, so it asks; the contact centre knows that and has no call.
//
//	call server --Query--> contact centre      where does this call go? / what you said is done, or could not be done: and now?
//	call server <--Label-- contact centre      the answer to a Query: play these Steps, or connect to this number, or end
//	call server <--Order-- contact centre      a Label out of turn: an agent has become ready. Answered with a Taken
//	call server ---Note--> contact centre      what has become of a Label, published as it happens, numbered
//
// Labels of one call have Serials that rise; that with the highest counts, whichever way it came, and one that is not higher than what was
// taken already is Superseded. The contact centre gives each a Serial higher than Query.Label, so it goes on counting where another life of
// it had stopped.
//
// Each Label that was taken ends in exactly one Note of the kinds Treated, Connected, Failed, Superseded and Ended; a Note of the kind
// Ended is the last of a call and ends whatever was still under way. Notes are numbered per call server and life (Note.Seq): whoever misses
// one asks for Calls.
//
// # What is where on the bus
//
//	question VerbQuery  to the contact centre that leads (fact FactRouter)    Query -> Label
//	question VerbOrder  to the call server that has the call (Query.Server)   Order -> Taken
//	question VerbCalls  to a call server                                      CallsRequest -> Calls
//	question VerbJoin   to the call server that has the call (Query.Server)   Join -> JoinAnswer
//	published VerbNote  by each call server                                   Note
//	fact FactRouter     the contact centre that leads                         Router
//	fact FactCall       one for each live call, under its CallID              Standing
//
// A fact lives with its node: when a call's fact is gone, the call is gone, and with it all that was reserved for it. A Router with a life
// that has not been seen makes every call server tell its calls again (Again). What it answers then is usually Stay.
package contact
