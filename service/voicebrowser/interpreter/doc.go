// Package interpreter runs VoiceXML: the form interpretation algorithm of VoiceXML 2.0, appendix C, its events, scopes and variables, and
// the additions of VoiceXML 2.1. It is sans-I/O: what it wants of the world (a document, a prompt played, digits, a recording) it asks of a
// Platform, as values, so that it runs the same in a test and in the child process that keeps one call's scripts away from all others.
package interpreter

import _ "github.com/dop251/goja" // ECMAScript
