// Command locktone is the whole of Locktone in one program: it starts a site (up, demo), and it is the client of a
// running site's admin API for everything else (status, plan, apply, show, calls, trace, cert, logs).
//
// Exit codes: 0 done (and, where something was to be proven or ready, it is); 1 it failed or was refused; 2 the command
// line is wrong; 3 no node is running in the home folder.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
	"github.com/locktone/locktone/service/voicebrowser/worker"
)

// version is set by the build.
var version = "dev"

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitNoNode = 3
)

// commands is the command line.
type commands struct {
	Home string `help:"Folder of the node's data." default:"./var" type:"path" env:"LOCKTONE_HOME"`
	JSON bool   `help:"Answer in JSON." name:"json"`

	Up      upCmd      `cmd:"" help:"Start a secure site in the home folder; Ctrl-C stops it."`
	Demo    demoCmd    `cmd:"" help:"Play a scenario on a throw-away site and prove what it claims."`
	Status  statusCmd  `cmd:"" help:"How the node and its services are; exits 0 once everything is ready."`
	Plan    planCmd    `cmd:"" help:"Say what a site file would change."`
	Apply   applyCmd   `cmd:"" help:"Make a site file the configuration, in one piece or not at all."`
	Config  configCmd  `cmd:"" help:"Print the configuration in force, without secrets."`
	Show    showCmd    `cmd:"" help:"Lists of what is there now."`
	Node    nodeCmd    `cmd:"" help:"Nodes of the cluster: a token for a new one, drain one, take one out."`
	Line    lineCmd    `cmd:"" help:"What users set for their lines at the phone: forwards."`
	Device  deviceCmd  `cmd:"" help:"What users set for their devices at the phone: do not disturb, privacy, hunt login."`
	Reset   controlCmd `cmd:"" help:"Reset, restart, or apply configuration to a device or trunk."`
	Dial    dialCmd    `cmd:"" help:"What would happen, rule by rule, if somebody dialled a number, and why; media security included."`
	Border  borderCmd  `cmd:"" help:"Border elements: read the field's configuration, explain the way of a call."`
	Debug   debugCmd   `cmd:"" help:"What happens now, in the field's spelling: debug ssl openssl errors."`
	Calls   callsCmd   `cmd:"" help:"Calls that live or ended lately, and records of those that are over."`
	Trace   traceCmd   `cmd:"" help:"A call as a ladder, or the records of a service, device or user."`
	Replay  replayCmd  `cmd:"" help:"Run the engine's recorded inputs again and compare what comes of them."`
	Logs    logsCmd    `cmd:"" help:"Logs."`
	Cert    certCmd    `cmd:"" help:"Certificates of devices and peers."`
	CAPF    capfCmd    `cmd:"" name:"capf" help:"Enrolment of phones and CTI applications: profiles, and requests to an offline authority."`
	Login   loginCmd   `cmd:"" help:"Logins of users: explain one, unlock an account, change a password."`
	CTI     ctiCmd     `cmd:"" name:"cti" help:"Why a user may not control a device through CTI, and certificates of its instances."`
	Phone   phoneCmd   `cmd:"" help:"The client's side of enrolment: for applications and devices, against any call manager."`
	TSP     tspCmd     `cmd:"" name:"tsp" help:"A telephony service provider on the command line: control telephones through any CTI manager."`
	Trust   trustCmd   `cmd:"" help:"Whom devices trust: the security mode, rotation of certificates, and what will break when."`
	LDAP    ldapCmd    `cmd:"" name:"ldap" help:"LDAP directories: what is wrong with one, and its users."`
	CC      ccCmd      `cmd:"" name:"cc" help:"The contact centre: simulate a day of a site file."`
	Verify  verifyCmd  `cmd:"" help:"Look at the TLS of any host and port as our verifier does."`
	Utils   utilsCmd   `cmd:"" help:"Commands in the field's spelling."`
	Hash    hashCmd    `cmd:"" help:"Hash a password for a site file: read from the terminal or standard input."`
	Audit   auditCmd   `cmd:"" help:"Who changed what, newest first."`
	Backup  backupCmd  `cmd:"" help:"The whole site in one encrypted file: record, keys, and the other files of the home folder."`
	Restore restoreCmd `cmd:"" help:"Make a site of a backup, in an empty home folder and record; or only look at one (--check)."`
	Store   recordCmd  `cmd:"" help:"The schema of the record, of a node that does not run."`
	Load    loadCmd    `cmd:"" passthrough:"" help:"Load generator: calls over mutual TLS with SRTP against any PBX."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// app is what a command may use.
type app struct {
	ctx      context.Context
	in       io.Reader // nil: standard input
	out, err io.Writer
	home     string
	json     bool
	width    int // of the terminal; 0: not a terminal
	wired    services
	api      *admin.Client
}

func main() {
	if worker.IsWorker(os.Args) { // a VoiceXML session's process: nothing else may happen in it
		os.Exit(worker.Main(os.Stdin, os.Stdout, interpreter.Run))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{ctx: ctx, out: os.Stdout, err: os.Stderr, width: terminalWidth(os.Stdout), wired: wiring()}
	code := a.run(os.Args[1:])
	stop()
	os.Exit(code)
}

// helped ends parsing after --help.
var errHelped = errors.New("help was printed")

// run executes a command line and returns the exit code.
func (a *app) run(args []string) (code int) {
	var c commands
	helped := false
	parser, err := kong.New(&c, kong.Name("locktone"),
		kong.Description("Secure telephony in one program. Exit codes: 0 done; 1 failed, refused, not ready or not proven; 2 wrong command line; 3 no node is running."),
		kong.Writers(a.out, a.err), kong.Exit(func(int) { helped = true; panic(errHelped) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.ShortUsageOnError())
	if err != nil {
		fmt.Fprintln(a.err, "locktone:", err)
		return exitUsage
	}
	defer func() { // kong has no other way to leave its help
		if v := recover(); v != nil {
			if !helped {
				panic(v)
			}
			code = exitOK
		}
	}()
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(a.err, "locktone: %v\nlocktone --help lists the commands, locktone COMMAND --help its flags.\n", err)
		return exitUsage
	}
	a.home, a.json = c.Home, c.JSON
	a.api = admin.NewClient(a.home)
	defer a.api.Close()
	return a.exit(k.Run(a))
}

// errQuiet makes a command fail after it has said all there is to say.
var errQuiet = errors.New("said already")

// exit prints an error, one sentence and what to do, and chooses the exit code.
func (a *app) exit(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errQuiet):
		return exitFailed
	}
	code := exitFailed
	if errors.Is(err, admin.ErrNotRunning) {
		code = exitNoNode
	}
	var p *admin.Problem
	if !errors.As(err, &p) {
		p = &admin.Problem{Detail: err.Error()}
		if code == exitNoNode {
			p.Code = "not-running"
		}
	}
	if a.json {
		_ = a.printJSON(p)
		return code
	}
	fmt.Fprintf(a.err, "locktone: %s\n", p.Error())
	for _, d := range p.Details {
		fmt.Fprintf(a.err, "  %s\n", d)
	}
	if p.Advice != "" {
		fmt.Fprintf(a.err, "What to do: %s.\n", p.Advice)
	}
	return code
}
