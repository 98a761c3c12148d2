// Package resilience holds the tests that treat a whole site badly: garbage on every port, connections that say nothing,
// floods, phones that vanish, a full disk, a killed process, certificates that must be refused. Each test then asks for a
// good call, and for memory, goroutines and descriptors to be back where they were.
//
// Tests that compare the process before and after run one by one; those that only wait for other processes run beside each
// other. LOCKTONE_ALL=1 asks for the longer forms.
package resilience
