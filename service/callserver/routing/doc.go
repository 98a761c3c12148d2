// Package routing is what a call server does with one caller, as a machine without I/O: Step(now, input) returns what to do, Deadline when to
// be stepped although nothing has happened.
//
// The caller is always in one of these places:
//
//		             Arrived                      Redirect                     the far end answers
//		  (outside) --------> at the router -----------------------> under way --------------------> at a browser / with somebody
//		                        ^   ^                                   |                                   |       ^
//		                        |   +------------- Returned ------------+ (nobody there)                    |       | Delivered
//		                        +----------------- Returned ------------------------------------------------+       |
//		                                     (the far end has left, or died)                                +-------+
//
//	  - At the router: the engine offers the call to the call server's own leg. It has not been answered yet, or the engine keeps the caller with
//	    music because whoever it was connected to has left (call.SetGuard brings it back here whatever happens). The contact centre is asked.
//	  - Under way: the call was redirected to a voice browser or to a number, and that has not answered yet.
//	  - At a browser: it plays the document of the page in force. The document's end comes back as Submitted.
//	  - With somebody: a number of a Connect has answered. Being rung for a caller who is at a browser is no place of its own: the caller stays
//	    there (call.Deliver).
//
// Three things go on beside each other: the place, the label that is being carried out (want), and the question to the contact centre (ask).
// A question that is not answered in Settings.AskTimeout makes the router silent: then the default treatment is played to a caller for whom
// nothing is done, the question is asked again every Settings.AskAgain, and after Settings.SurvivalAfter the survival number is called. No
// input makes this machine end a call but a Label that says so; TestWalk holds it to that.
package routing
