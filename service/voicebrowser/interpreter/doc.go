// Package interpreter runs VoiceXML: the form interpretation algorithm of VoiceXML 2.0, appendix C, its events, scopes and variables, and
// the additions of VoiceXML 2.1. It is sans-I/O: what it wants of the world (a document, a prompt played, a digit, a recording) it asks of a
// Platform, one Action at a time, and everything that crosses that line is a plain value that encodes as JSON. So it runs the same in a test
// and in the child process that keeps one call's scripts away from all others.
//
// Grammars never cross the line: the interpreter is told digits one by one and knows itself when a grammar is complete, so that a hostile
// grammar burns the child's time and not the media's. Prompts do cross it: the interpreter queues them as VoiceXML 2.0, section 4.1.8, says and
// hands the queue over with the next action that waits.
package interpreter
