package call

// testFork copies engines in tests: call/live does it, which this package cannot import.
var testFork func(*Engine) *Engine

// SetTestFork hands the copier in.
func SetTestFork(f func(*Engine) *Engine) bool {
	testFork = f
	return true
}
