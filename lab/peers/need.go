package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A Program is something the tests run. Package is the Debian package that brings it, "" where Debian has none.
type Program struct{ Name, Package string }

// The programs of this package.
var (
	baresip   = Program{"baresip", "baresip-core"}
	linphonec = Program{"linphonec", "linphone-cli"}
	kamailio  = Program{"kamailio", "kamailio kamailio-tls-modules"}
	kamcmd    = Program{"kamcmd", "kamailio"}
	sipp      = Program{"sipp", "sip-tester"}
	stunnel   = Program{"stunnel", "stunnel4"}
	tshark    = Program{"tshark", "tshark"}
	sox       = Program{"sox", "sox"}
	openssl   = Program{"openssl", "openssl"}
	curl      = Program{"curl", "curl"}
	java      = Program{"java", "openjdk-17-jre-headless"}
	javac     = Program{"javac", "openjdk-17-jdk-headless"}
)

// Find returns the path of a program, looking in the folders of system programs too.
func Find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// Need skips the test where a program is missing, with the package that brings it; LOCKTONE_REQUIRE_PEERS=1 turns that
// into a failure for programs that Debian packages.
func Need(t testing.TB, programs ...Program) {
	t.Helper()
	for _, p := range programs {
		if _, err := Find(p.Name); err == nil {
			continue
		}
		if p.Package != "" && os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
			t.Fatalf("%s is not installed and LOCKTONE_REQUIRE_PEERS=1: apt-get install %s", p.Name, p.Package)
		}
		t.Skipf("needs %s: apt-get install %s", p.Name, p.Package)
	}
}

// Shared returns the folder of test vectors (LOCKTONE_SHARED, default shared beside the repository) joined with elem, or
// skips the test and says what it could not run.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("LOCKTONE_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs the vectors at %s (set LOCKTONE_SHARED): %v", filepath.Join(elem...), err)
	}
	return path
}
