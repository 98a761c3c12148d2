// Command bench compares a Locktone site with Kamailio and rtpengine on this machine, on the same work: `make bench`.
//
// # Method
//
// Every server is a process of its own; its CPU is user and system time from /proc of the process and its descendants,
// its memory the proportional set size. The load is package lab/load in this process: real phones over mutual TLS, each
// with its certificate and connection. What is compared runs in interleaved rounds, ours and the peer's one after the
// other at the same rate, the order changing each round; the table shows medians and the ratio of medians. Only ratios
// of one run mean something: CPU per call falls by a third to a half from 100 calls/s to saturation, and by as much on
// a machine that is busy with something else.
//
// The peers are what Debian packages: Kamailio 5.6 as a stateful proxy with registrar (tm, rr, usrloc in memory) with
// one TCP worker, because its TLS aborts under OpenSSL 3 when several do handshakes at once; rtpengine 10.5 in user space
// (--table=-1). One that is not installed is left out, and the table says so. sipgo's example proxy is not run: its
// upper layers need modules (icholy/digest) that this repository does not require.
//
// Usage: bench [flags]; see --help.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/locktone/locktone/lab/load"
)

// bench is one run of all benchmarks.
type bench struct {
	dir, bin string
	before   string // another build of our program, to be measured beside the first; empty: none
	ca       *load.Authority
	rounds   int
	seconds  float64 // of each sample
	rate     float64 // of the bridge alone, for profiles; 0: the rates of the table
	only     *regexp.Regexp
	table    table
	phones   int // of a storm
	logins   int // of a storm of applications
	agents   int // of the rows of queue and agents
	quiet    bool
	rest     time.Duration // before memory is looked at
	profile  string        // folder for CPU and heap profiles of our site; empty: none
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "bare-tls" {
		fmt.Fprintln(os.Stderr, bareTLS(os.Args[2:])) // it returns only when it cannot go on
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	b := &bench{rest: 5 * time.Second}
	only := flag.String("only", "", "run only benchmarks whose name matches this `regexp`: "+names())
	asJSON := flag.Bool("json", false, "print JSON")
	write := flag.String("write", "", "put the table into this `file`, between its markers")
	flag.StringVar(&b.bin, "bin", "bin/locktone", "the program to measure")
	flag.StringVar(&b.before, "before", "", "another build of the program, measured in the same rounds")
	flag.IntVar(&b.rounds, "rounds", 3, "interleaved rounds")
	flag.Float64Var(&b.seconds, "seconds", 6, "of load in each sample")
	flag.Float64Var(&b.rate, "rate", 0, "bridge calls at this rate only")
	flag.IntVar(&b.phones, "phones", 5000, "phones of a storm")
	flag.IntVar(&b.logins, "applications", 500, "applications that log in at once")
	flag.IntVar(&b.agents, "agents", 5000, "agents of the rows of queue and agents")
	flag.BoolVar(&b.quiet, "quiet", false, "no progress")
	flag.StringVar(&b.profile, "profile", "", "write CPU and heap profiles of our site into this `folder`")
	flag.Parse()
	if b.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if _, err := os.Stat(b.bin); err != nil {
		return fmt.Errorf("%w: make build", err)
	}
	if b.before != "" {
		if b.before, err = filepath.Abs(b.before); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp("", "locktone-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.ca, err = load.NewAuthority("bench authority"); err != nil {
		return err
	}
	b.table.Command, b.table.Date = fmt.Sprintf("make bench ARGS='--rounds %d --seconds %g --only \"%s\"'", b.rounds, b.seconds, *only), time.Now().UTC().Format("2006-01-02")
	for _, x := range benchmarks {
		if !b.only.MatchString(x.name) {
			continue
		}
		if err := x.run(b, ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.table.Notes = append(b.table.Notes, x.name+": "+err.Error())
			b.say("%s: %v", x.name, err)
		}
	}
	if *asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(b.table.rows())
	} else {
		b.table.print(os.Stdout)
	}
	if err == nil && *write != "" {
		err = b.table.write(*write)
	}
	return err
}

// say shows what is being done.
func (b *bench) say(format string, args ...any) {
	if !b.quiet {
		fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
	}
}
