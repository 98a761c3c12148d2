package peers

import (
	"os"
	"testing"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
	"github.com/locktone/locktone/service/voicebrowser/worker"
)

// TestMain: the voice browser of a site starts the program it is in for each session.
func TestMain(m *testing.M) {
	if worker.IsWorker(os.Args) {
		os.Exit(worker.Main(os.Stdin, os.Stdout, interpreter.Run))
	}
	os.Exit(m.Run())
}
