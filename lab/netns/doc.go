// Package netns makes networks of Linux network namespaces, so that a test can run real programs as if on machines of their own and
// cut the network between any two of them.
//
// # The network
//
// Every place (a machine) is a namespace with one interface and one address. All of them hang on a router, a namespace too:
//
//	n1 10.213.1.2 ---+
//	n2 10.213.2.2 ---+--- router ---+--- test 10.213.254.2   (the test process itself)
//	db 10.213.3.2 ---+
//
// A cut is a rule of the router that throws packets between two addresses away, silently, as a broken cable between two switches
// does: nobody is refused, nobody is told. Nothing of this touches the network of the machine: the test process moves into a
// namespace before its first test, and there is no way out of the router.
//
// # Use
//
//	func TestMain(m *testing.M) { os.Exit(netns.Main(m)) }
//
//	func TestCut(t *testing.T) {
//		n := netns.Here(t) // skips, with a printed reason, where namespaces cannot be made
//		a, b := n.Place(t, "n1"), n.Place(t, "n2")
//		cmd := n.Command("n1", "program", "--listen", a.String())
//		n.Cut(t, "n1", "n2")
//	}
//
// It takes root and the program ip (iproute2).
package netns
