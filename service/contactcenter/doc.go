// Package contactcenter is the contact centre as a service: it answers call servers' questions where a call goes, queues contacts, reserves
// agents and tells everybody about it. What it decides is decided in package center, which is pure; here are the clock, the bus, the store
// and the goroutine that owns it.
package contactcenter
