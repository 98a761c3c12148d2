// Package fetch gets documents, scripts, grammars and sound files for the voice browser: by HTTPS with the browser's own client certificate,
// from the origins an operator has named and no others, through a cache that goes by RFC 9111 and by what the document said (maxage,
// maxstale).
//
// An origin is scheme, host and port (RFC 6454, 4). Every redirect is looked at again: what an origin answers leads to no other one that is
// not on the list. Origins without TLS must be named with their exception. No proxy of the environment is used, no cookie kept.
package fetch
