// Package pki is the cluster's certificate authority, its services' identities and its one verifier.
package pki
