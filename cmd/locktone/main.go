// Command locktone is the whole of Locktone in one program: it starts a site (up, demo), and it is the client of a
// running site's admin API for everything else.
package main

func main() { _ = wiring() }
