// Package mwi reads and writes message summaries (RFC 3842): what a voicemail system says of a mailbox, and a phone lights its lamp by.
//
//	Messages-Waiting: yes
//	Message-Account: sip:1001@vmail.example.com
//	Voice-Message: 2/8 (0/2)
//
// The numbers are new and old messages, and in brackets those of them that are urgent. The lamp follows the first line alone.
package mwi
