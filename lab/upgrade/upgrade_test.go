package upgrade

import (
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/lab/program"
	"github.com/locktone/locktone/store"
)

// The commit whose program has written backup/testdata/87f5101.backup: a site with two phones more than the built-in one (revisions
// 2 and 3), four calls between them, a forward of line 7001, and its TVS rotated once. It knows the schema up to 3.
const (
	commit     = "87f5101"
	itsSchema  = "3"
	fixture    = "../../backup/testdata/87f5101.backup"
	passphrase = "fixture of 87f5101\n"
)

var present program.Program

func TestMain(m *testing.M) {
	code := m.Run()
	present.Remove()
	os.Exit(code)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a command of a program that must succeed, and returns what it prints.
func run(t *testing.T, p *program.Program, input string, args ...string) string {
	t.Helper()
	code, out, errs := p.RunWith(t, input, args...)
	if code != 0 {
		t.Fatalf("locktone %s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// restored makes a home folder of the fixture.
func restored(t *testing.T, more ...string) (home string) {
	t.Helper()
	present.Path(t) // building may take longer than a command may
	home = filepath.Join(t.TempDir(), "home")
	run(t, &present, passphrase, append([]string{"restore", fixture, "--home", home}, more...)...)
	return home
}

// everything checks that a running node has what the fixture's node had.
func everything(t *testing.T, p *program.Program, n *program.Node, calls int) {
	t.Helper()
	config := run(t, p, "", "config", "--home", n.Home)
	for _, want := range []string{"name: load7001", "number: '7002'", "name: alice"} {
		if !strings.Contains(config, want) {
			t.Errorf("the configuration has no %q:\n%s", want, config)
		}
	}
	for _, kind := range []string{"", "--legs"} {
		want, args := calls+1, []string{"calls", "export", "--home", n.Home}
		if kind != "" {
			want, args = 2*calls+1, append(args, kind)
		}
		if rows, err := csv.NewReader(strings.NewReader(run(t, p, "", args...))).ReadAll(); err != nil || len(rows) != want {
			t.Errorf("calls export %s: %d rows, want %d (%v)", kind, len(rows), want, err)
		}
	}
	if settings := run(t, p, "", "show", "lines", "--home", n.Home); !regexp.MustCompile(`7001.*1001`).MatchString(settings) {
		t.Errorf("the forward of 7001 to 1001 is not there:\n%s", settings)
	}
	if log := run(t, p, "", "audit", "--home", n.Home); !strings.Contains(log, "apply") {
		t.Errorf("the audit log:\n%s", log)
	}
	list := run(t, p, "", "show", "ctl", "--home", n.Home)
	for _, want := range []string{"CN=SAST1_locktone-3d37f9", "CN=SAST2_locktone-2d5eae", "CN=ITLRECOVERY_locktone-950c00", "CN=locktone-772e73-CA", "was verified successfully"} {
		if !strings.Contains(list, want) {
			t.Errorf("the trust list does not say %q", want)
		}
	}
}

var address = regexp.MustCompile(`tls (127\.0\.\d+\.10:5061)`)

// register lets the phone alice register with the certificate and the roots it was given long ago.
func register(t *testing.T, p *program.Program, n *program.Node) {
	t.Helper()
	at := address.FindStringSubmatch(n.Output.String())
	if at == nil {
		t.Fatalf("no address of the call manager in\n%s", n.Output)
	}
	dir := filepath.Join(n.Home, "phones", "alice")
	run(t, p, "", "load", "register", "--server", at[1], "--phones", "1", "--count", "1", "--user", "alice", "--device", "alice", "--domain", "locktone.test", "--name", "locktone.test",
		"--cert", filepath.Join(dir, "alice.crt"), "--key", filepath.Join(dir, "alice.key"), "--roots", filepath.Join(dir, "ca.pem"))
}

// TestEarlierRecord: what the program of an earlier commit has written is all there with the present one, in both engines; its
// phones register with the certificates they have.
func TestEarlierRecord(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { earlier(t, restored(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { earlier(t, restored(t, "--dsn", postgres.Need(t).Database(t))) })
}

func earlier(t *testing.T, home string) {
	n := present.Up(t, home)
	everything(t, &present, n, 4)
	register(t, &present, n)
	if code := n.Stop(t); code != 0 {
		t.Fatalf("the node ended with %d:\n%s", code, n.Output)
	}
	// Down and up again, as an operator does it, says what is lost.
	code, out, errs := present.Run(t, "store", "migrate", "--to", "2", "--home", home)
	if code == 0 || !strings.Contains(out, "lost: the table call_leg with 8 rows") || !strings.Contains(errs, "take a backup, then say --yes") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	run(t, &present, "", "store", "migrate", "--to", "2", "--yes", "--home", home)
	if out := run(t, &present, "", "store", "schema", "--json", "--home", home); !strings.Contains(out, `"from": 2`) {
		t.Errorf("schema:\n%s", out)
	}
	n = present.Up(t, home)
	register(t, &present, n)
	n.Stop(t)
}

// TestEarlierProgram builds the program of the earlier commit, brings the record back to its schema, and runs it there: it refuses
// the newer schema with a sentence, and after the migration has everything; the present one then goes on.
func TestEarlierProgram(t *testing.T) {
	before := program.Program{Source: sources(t)}
	t.Cleanup(before.Remove)
	home := restored(t)
	before.Path(t)
	n := before.Start(t, nil, home)
	<-n.Ended
	if newest := store.NewestSchema(); !strings.Contains(n.Output.String(), "use the version that wrote it or a later one") {
		t.Fatalf("the program of %s on schema %d:\n%s", commit, newest, n.Output)
	}
	run(t, &present, "", "store", "migrate", "--to", itsSchema, "--yes", "--home", home)
	n = before.Up(t, home)
	everything(t, &before, n, 4)
	register(t, &before, n)
	n.Stop(t)
	// A backup of a home folder of the earlier program does not migrate it.
	file := filepath.Join(t.TempDir(), "early.backup")
	if out := run(t, &present, passphrase, "backup", file, "--home", home); !strings.Contains(out, "schema "+itsSchema) {
		t.Errorf("the backup says\n%s", out)
	}
	n = present.Up(t, home)
	everything(t, &present, n, 4)
	register(t, &present, n)
	n.Stop(t)
}

// sources unpacks the earlier commit, where the history is there.
func sources(t *testing.T) string {
	t.Helper()
	if out, err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		t.Skipf("the program of %s is not built: its commit is not in this clone (%v %s): git fetch --unshallow", commit, err, out)
	}
	return sourcesOf(t, commit)
}

func sourcesOf(t *testing.T, commit string) string {
	t.Helper()
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	ok(t, err)
	dir := t.TempDir()
	tar := filepath.Join(dir, "source.tar")
	archive := exec.Command("git", "archive", "-o", tar, commit)
	archive.Dir = strings.TrimSpace(string(top))
	for _, c := range []*exec.Cmd{archive, exec.Command("tar", "-xf", tar, "-C", dir)} {
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c.Args, err, out)
		}
	}
	return dir
}
