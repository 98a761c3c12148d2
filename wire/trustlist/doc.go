// Package trustlist reads and writes the files with which phones and telephony applications are told whom to trust: CTL and
// ITL files, signed (.sgn) and encrypted (.enc.sgn) configurations.
package trustlist
