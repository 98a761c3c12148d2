// Package phonexml reads and writes the XML files that desk phones are configured by: <name>.cnf.xml of SIP and of SCCP phones, the
// short companion that stands beside an encrypted one, and XMLDefault.cnf.xml for phones nobody knows.
//
// # No standard, many writers
//
// No document defines these files. They are known from a public list of elements, from exports of real systems and from what
// phones do with them; docs/wire/phonexml.md says for each element how it is known. A phone takes what it knows and skips the
// rest, in any order. So the reader here is lenient about spelling and strict about size: a file is at most MaxFile bytes, its
// nesting is bounded, a document type declaration is refused and entities are never expanded.
//
// # Every element has an answer
//
// An administrator who knows such files asks of each element: where do I set it? Elements is the answer, element by element: from
// configuration (and which field), fixed (and why this value), or not offered (and why not). New and NewLine fill in the fixed
// values from that table, so that the table is what is written; docs/wire/phonexml.md is printed from it.
//
// # No secrets
//
// The files can carry passwords: for digest authentication, for the phone's shell and pages. They stand on a server that answers
// everybody, and signing hides nothing. This package has no field for any of them.
package phonexml
