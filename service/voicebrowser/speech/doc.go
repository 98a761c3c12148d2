// Package speech makes sound of text: by an engine, which is a command of the machine (espeak-ng, flite, or another that is configured), kept
// by the hash of what was said; and without any engine by ready-made prompts, so that numbers, letters, dates and the phrases of a contact
// centre are heard everywhere.
//
// The ready-made prompts are the voice "slt" of flite (prompts/LICENSE), embedded, 8,000 samples a second, mu-law.
//
//	what                                             who says it
//	say-as digits, numbers, letters; a ready phrase  the ready-made prompts, in English; no process is started
//	any other text                                   the engine, else the ready-made prompts if they have every word
//	else                                             nobody: ErrNobody, a document's error.noresource
package speech

//go:generate go run ./genprompts
