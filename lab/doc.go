// Package lab runs whole sites in one process, for tests and demonstrations: a throw-away home folder, free loopback
// addresses, phones that talk only through the wire (lab/phone), and programs nobody here wrote (lab/peers).
//
// A site of the lab is the site of `locktone up`, started by the same code (cmd/locktone/site); nothing is stubbed. It works beside
// any other site on the machine, because it looks for an address of 127.0.0.0/8 that nobody has.
package lab
