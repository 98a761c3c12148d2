// Package cti is the client of a CTI manager: what a TAPI service provider is on Windows. An application logs in as a user,
// sees the telephones it may control, makes and answers calls on them, and hears what happens on their lines.
//
//	provider, err := cti.Open(ctx, cti.Config{User: "alice", Password: secret.New("..."),
//	        Primary: cti.Manager{Host: "10.0.0.1"}, Backup: cti.Manager{Host: "10.0.0.2"}, TLS: folder.TLS})
//	line, err := provider.OpenLine(ctx, provider.Lines()[0].ID)
//	call, err := provider.Dial(ctx, line.ID, "1002")
//	for {
//	        event, err := provider.Next(ctx)
//	        ...
//	}
//
// The protocol is CTIQBE (package wire/ctiqbe) over mutual TLS on port 2749. The certificate is the one that package enroll
// fetches from CAPF into a folder of its own: an Enrolment does both, with the trust list that says which CTI manager to
// believe. Port 2748, without TLS, must be asked for by Config.Clear.
//
// # Two managers
//
// CTI managers share no state. When the one in use is lost (the connection ends, or nothing came for two heartbeat
// intervals) the provider logs in at the other, opens again what was open, and takes a new picture of all calls. The
// application sees LinkLost at the loss and afterwards exactly one Gap; behind the Gap come, marked Snapshot, the events
// that bring its picture up to date: calls that ended meanwhile, calls that are new, calls in another state. There is no
// way back to the primary before the backup is lost, as in the field.
//
// # Parts
//
//	session.go   one connection: requests and their answers, heartbeats, the window of silence
//	login.go     the login, the password's form, the list of devices
//	model.go     the picture of devices, lines and calls; pure: a message in, events out
//	provider.go  which manager, when; what is opened again; the queue of events
//	port.go      CTI ports: devices whose media is the application's own
//	calls.go     what an application can ask for
//	tracefile.go the trace, in files of a bounded size and number
package cti
