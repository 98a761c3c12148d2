// Package upgrade tests programs of several versions on one record: what an earlier commit's program has written, the present one
// opens, and after a migration back the earlier one opens it again; and whole sites that are backed up, restored elsewhere and
// called as if nothing had been. It has only tests.
package upgrade
