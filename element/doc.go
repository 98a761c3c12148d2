// Package element is a SIP element: what call manager, border, call server and voice browser have in common, so that each of them is only
// what makes it different.
//
//	peer <-- SIP over mutual TLS --> endpoint --> sipleg \
//	                                                      engine (call/live) <-- requests, events -- the service
//	applets (the service's programs)         --> appleg  /
//	drivers of the service's own             ----------/
//
// An element has one address and one certificate of its own, listens on 5061 with mutual TLS and on anything else only while one of its
// peers needs that, and knows others as peers: a name, the subjects one of which their certificates must bear, and destinations with
// priorities and weights whose state is driven by OPTIONS. Who connects is known by its certificate; a peer without TLS, which is a named
// exception, by its address. A call that comes in belongs to the peer that sent it; where it goes the engine's dial plan says, or the
// service, by Policy.
//
//	e, err := element.Start(ctx, element.Config{Service: "border", Node: "n1", Addresses: addresses, Identity: identity, Trace: recorder,
//		Domain: "border.example.com", Policy: service})
//	err = e.Configure(site, []element.Peer{{
//		Name: "cvp", Subjects: []string{"callserver.example.com"},
//		Destinations: []element.Destination{{Address: "127.0.1.20"}},
//		Leg: sipleg.Profile{Transfer: true},
//	}})
//	defer e.Close(ctx)
//	watcher := e.Host().Watch(64)                                      // what happens to calls
//	_, err = e.Host().Request(ctx, "border", call.Drop{Call: id})      // what is to happen
//
// The zero value of every Peer is the strict one: TLS, a certificate with one of its subjects, SRTP required. What is weaker is listed by
// Exceptions.
package element
