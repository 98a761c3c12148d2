// Package backup writes a site into one file and makes a site of it again: the record as it was at one moment, and the files of the
// home folder that belong to it. The file is encrypted and authenticated; docs/backup.md is for who uses it, this page for who
// changes it.
//
// # Two layers
//
// The outer layer ([Seal], [Unseal]) is a stream of chunks of 64 KiB, each AES-256-GCM under a key of this file only, with a nonce
// that counts the chunks and marks the last one (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár, "Online
// Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015). A chunk changed, left out, moved, or a file that ends
// early is found at that chunk, before a byte of it is handed on. The key comes from a passphrase (Argon2id) or is agreed with a
// recipient's public key (HPKE with X25519 and ML-KEM-768, so that a file recorded today stays closed when somebody has a quantum
// computer). The header is part of the key's derivation: whoever changes it changes the key.
//
// The inner layer ([Writer], [Reader]) is a list of frames, each a letter, a length and that many bytes: the manifest, files,
// tables with their rows, and a summary that must agree with what came before. Values of a row are tagged and prefixed with their
// length; nothing is ever decoded into a type that the file names. Whatever is not expected at its place is an error, and a length
// is only believed as far as bytes follow it.
//
// # Restoring
//
// [Restore] reads the whole file before it touches anything, then marks the home folder as unfinished, writes files and record, and
// removes the mark last. A node does not start on a marked folder; restoring again begins anew.
package backup
