// Package config is what an operator writes: the declarative site (one YAML
// file for the whole cluster) and the configuration of one node (a tiny file
// that says where the node keeps its data and how it reaches store and bus).
//
// # The site
//
// A Site is a set of entities that refer to each other by name: a device has
// lines, a line sits in a partition, a trunk has a security profile. The names
// of entities and fields are those of the field (device pool, phone security
// profile, calling search space), so that somebody who has run a call manager
// finds their way. Every field has a good and secure zero value: leaving a
// field out is never the weaker choice.
//
// # Loading
//
// Parse reads a file in two passes. The decoder walks the YAML tree against
// the structs of this package and remembers where each field stood; the
// checker then looks at the finished Site: names, ranges, references,
// contradictions. Both report every mistake they find, not only the first,
// and each one says file, line, column, field, what was expected and, where it
// can be guessed, what was meant. A file with any mistake yields no Site.
//
// # Changing
//
// Diff compares two sites and lists typed changes; package store applies such
// a list atomically. Secrets (passwords) are hashed while loading and exist
// afterwards only as Verifier values, which print as "[redacted]".
//
// The doc comments of the structs are the reference manual: docs/configuration.md
// is generated from them.
package config

//go:generate go run ./gendoc ../docs/configuration.md
