// Package voicebrowser is the voice browser: a SIP element that answers calls by running VoiceXML documents.
//
//	call server --INVITE sip:dialog@vb;voicexml=https://cs/1--> element --> one session a call, on a goroutine of its own
//	                                                                         |  worker.Pool: the interpreter in a child process
//	                                                                         |  actions, outcomes (package interpreter)
//	   documents, scripts, sound <--HTTPS, our client certificate--- fetch --+
//	   text --> espeak-ng | flite | ready-made prompts ------------ speech --+--> media of the leg (applet.Session)
//
// Which document runs is said by the Request-URI (RFC 5552) or by the number that is called (config.VoiceApplication). A call is answered
// when its first document is there; one whose document cannot be had is refused, so that the call server finds another way. A session
// whose process dies, hangs or lies hears that an error has occurred and is released with cause 41; no other call notices.
package voicebrowser
