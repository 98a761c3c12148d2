// Package worker runs VoiceXML sessions in child processes, one each, so that a document can hurt no call but its own: what burns
// processor time, memory or patience in there is killed, and the caller of that one session hears so.
//
//	service            Pool                                     child (locktone vxml-worker)
//	Run(start, platform) --begin{limits}-->  sets its own limits, warms up   } ahead of any call: a spare
//	                     <--ready---------                                   }
//	                     --start---------->  interpreter.Run
//	platform.Do          <--action---------  (one at a time)
//	                     --outcome-------->
//	                     <--result---------  and exits
//
// Frames are JSON behind their length in four octets, bounded both ways. The child has no environment, may open neither files nor sockets
// (its limit of descriptors is zero once it is ready), may use a bounded address space beyond what the runtime reserves at its start, and
// bounded processor time; it yields to everybody else (nice), and is the first to go when the machine runs out of memory. It dies with the
// parent (PDEATHSIG, and at the end of its input), and with its process group at the end of its session.
package worker
