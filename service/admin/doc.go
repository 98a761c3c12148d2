// Package admin is how a person or a program administers a node: one API, described by OpenAPI 3.1 at /openapi.json,
// on a unix socket and on HTTPS.
//
// # Who may do what
//
// The unix socket (mode 0600, HOME/admin.sock) asks the kernel who is at the other end: the user the node runs as, and
// root, are administrator; nobody else gets an answer. HTTPS listens on loopback unless told otherwise and wants a
// bearer token (RFC 6750, 2.1) from HOME/admin.tokens, a file of mode 0600 with a line "role name token" each; it is
// read again when it changes. Roles include each other: a viewer sees states and ladders, an operator also sees
// messages and resets devices, an administrator also changes configuration and issues certificates. The table of every
// operation and its role is in the API description (x-role) and in a test.
//
// Whatever changes something is written to the store's audit log with who, from where, what, and how it ended, whether
// it succeeded or was refused. When the audit log cannot be written the change is refused: the log is complete or it is
// worth nothing.
//
// # How it stays small
//
// The service holds no state of other services. Rows (registrations, trunks, connections, exceptions) are asked for
// over the bus from every node and service, configuration is read and applied in the store, traces come from the
// node's recorder. Every listener is bounded in connections, header and body size and time.
//
// # Errors
//
// Errors have the form of RFC 9457 with a stable "code" from one table (errors.go), and an "advice": what to do.
package admin
