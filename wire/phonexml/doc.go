// Package phonexml reads and writes the XML files that a desk phone is configured by.
package phonexml
