// Package vxml reads and writes the documents of the voice web: VoiceXML 2.0 and 2.1, the SRGS 1.0 grammars in them (XML and ABNF form, for
// DTMF), and the subset of SSML 1.0 that stands inside prompts. A document is a tree of elements that was checked against one table
// (Vocabulary) of which element may stand where with which attributes; every error has line and column. A grammar is compiled into a small
// program that a Matcher runs digit by digit, in bounded time and space whatever the grammar says. Nothing here runs a document (package
// interpreter does) or evaluates ECMAScript.
//
// Sources: the W3C Recommendations "Voice Extensible Markup Language (VoiceXML) Version 2.0" (16 March 2004) and "2.1" (19 June 2007),
// "Speech Recognition Grammar Specification Version 1.0" (16 March 2004), "Semantic Interpretation for Speech Recognition (SISR) Version 1.0"
// (5 April 2007), "Speech Synthesis Markup Language (SSML) Version 1.0" (7 September 2004).
package vxml
