package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/locktone/locktone/backup"
	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/secret"
)

// backupCmd is `locktone backup`.
type backupCmd struct {
	File backupFileCmd `cmd:"" default:"withargs" help:"Write a backup (what locktone backup FILE does)."`
	Key  backupKeyCmd  `cmd:"" help:"Make a key pair: backups closed with the public half need no passphrase, and only the private half opens them."`
}

// backupFileCmd is `locktone backup FILE`.
type backupFileCmd struct {
	File           string `arg:"" help:"File to write, whole or not at all; it must not exist." type:"path"`
	PassphraseFile string `help:"File whose first line is the passphrase; otherwise it is asked for, or read from standard input." type:"existingfile"`
	Recipient      string `help:"Public key file (locktone backup key): no passphrase is needed to write, its private half to restore." type:"existingfile" xor:"closed"`
	Node           string `help:"Node file (YAML) of a node that does not run, where it is not HOME/node.yaml." type:"existingfile"`
}

// backupKeyCmd is `locktone backup key FILE`.
type backupKeyCmd struct {
	File string `arg:"" help:"File for the private key, to be kept away from the node; the public one is FILE.pub." type:"path"`
}

// backupResult is what --json says.
type backupResult struct {
	File  string `json:"file"`
	Bytes int64  `json:"size"`
	backup.Contents
}

// Run makes a key pair.
func (c *backupKeyCmd) Run(a *app) error {
	k, err := backup.NewPrivateKey()
	if err != nil {
		return err
	}
	text, err := k.Text()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
	}{{c.File, text.Reveal(), 0o600}, {c.File + ".pub", k.Public().String() + "\n", 0o644}} {
		out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return err
		}
		_, err = out.WriteString(f.text)
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(map[string]string{"private": c.File, "public": c.File + ".pub"})
	}
	fmt.Fprintf(a.out, "%s opens backups: keep it away from the node, and a copy of it elsewhere; without it they are lost\n%s closes them: locktone backup FILE --recipient %s\n",
		c.File, c.File+".pub", c.File+".pub")
	return nil
}

// passphrase reads a passphrase from its file, the terminal or standard input, never from the command line.
func (a *app) passphrase(file string, questions ...string) (secret.Text, error) {
	if file == "" {
		text, err := a.password(questions...)
		return secret.New(text), err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return secret.Text{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" || len(line) > maxPassword {
		return secret.Text{}, fmt.Errorf("%s: its first line is no passphrase of 1 to %d characters", file, maxPassword)
	}
	return secret.New(line), nil
}

func (c *backupFileCmd) lock(a *app) (l backup.Lock, err error) {
	if c.Recipient == "" {
		l.Passphrase, err = a.passphrase(c.PassphraseFile, "Passphrase for the backup: ", "Again: ")
		return l, err
	}
	b, err := os.ReadFile(c.Recipient)
	if err == nil {
		l.Recipient, err = backup.ParsePublicKey(string(b))
	}
	return l, err
}

// Run writes the backup beside its place, and gives it its name when it is complete and on the disk.
func (c *backupFileCmd) Run(a *app) error {
	if _, err := os.Lstat(c.File); err == nil {
		return fmt.Errorf("%s exists: name a file that does not, or remove that one", c.File)
	}
	lock, err := c.lock(a)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.File), "."+filepath.Base(c.File)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // without effect once it has its name
	progress := a.progress()
	contents, err := c.write(a, f, lock, progress.say)
	progress.end()
	if err == nil {
		err = f.Sync()
	}
	size, sizeErr := f.Seek(0, io.SeekEnd)
	if err = errors.Join(err, sizeErr, f.Close()); err == nil {
		// Not Rename: it would take the place of a file that came meanwhile. But some file systems have no links.
		if err = os.Link(f.Name(), c.File); err != nil && !errors.Is(err, fs.ErrExist) {
			err = os.Rename(f.Name(), c.File)
		}
	}
	if err != nil {
		return fmt.Errorf("no backup was written: %w", err)
	}
	if err := syncFolder(filepath.Dir(c.File)); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(backupResult{c.File, size, contents})
	}
	fmt.Fprintf(a.out, "%s: %s, complete\n", c.File, bytesText(size))
	a.contents(contents)
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// write seals what a running node sends, or what is in the folder of one that does not run.
func (c *backupFileCmd) write(a *app, f *os.File, lock backup.Lock, say func(string)) (backup.Contents, error) {
	sealed, err := backup.Seal(f, lock)
	if err != nil {
		return backup.Contents{}, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(c.plain(a, w)) }()
	contents, err := backup.Copy(sealed, r, func(table string, rows, bytes int64) {
		if rows%1000 == 0 {
			say(fmt.Sprintf("backing up: %s, %d rows, %s so far", table, rows, bytesText(bytes)))
		}
	})
	r.CloseWithError(errors.New("the backup was given up"))
	if err == nil {
		err = sealed.Close()
	}
	return contents, err
}

func (c *backupFileCmd) plain(a *app, w io.Writer) error {
	_, err := a.api.Download(a.ctx, http.MethodPost, "/v1/backup", w)
	if !errors.Is(err, admin.ErrNotRunning) {
		return err
	}
	offline, stopped := a.stopped(c.Node)
	if stopped != nil {
		return stopped
	}
	defer offline.lock.Close()
	audit := func(result, detail string) {
		if err := store.AppendAuditTo(a.ctx, offline.dsn, store.AuditEntry{Actor: actor(), Source: "command", Action: "backup", Object: filepath.Base(c.File), Result: result, Detail: detail}); err != nil {
			fmt.Fprintln(a.err, "note: the audit log has no entry for this backup:", err)
		}
	}
	audit("begun", "")
	dump := func(ctx context.Context) (*store.Dump, error) { return store.OpenDump(ctx, offline.dsn) }
	_, err = site.BackupSource(a.home, offline.node, version, dump).Write(a.ctx, w)
	if err != nil {
		audit("failed", err.Error())
		return err
	}
	audit("ok", "")
	return nil
}

// offline is a home folder without a running node; the lock keeps one from starting.
type offline struct {
	node config.NodeConfig
	dsn  string
	lock *os.File
}

// stopped opens the home folder of a node that does not run.
func (a *app) stopped(nodeFile string) (o offline, err error) {
	if _, err := os.Stat(a.home); errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("there is no home folder %s: name it with --home", a.home)
	}
	if backup.Unfinished(a.home) {
		return o, fmt.Errorf("a restore into %s was not finished: run locktone restore again", a.home)
	}
	if nodeFile == "" && exists(filepath.Join(a.home, "node.yaml")) {
		nodeFile = filepath.Join(a.home, "node.yaml")
	}
	if nodeFile != "" {
		n, err := config.LoadNode(nodeFile)
		if err != nil {
			return o, err
		}
		o.node = *n
	}
	if o.dsn, err = o.node.DSN(a.home); err != nil {
		return o, err
	}
	o.lock, err = site.LockHome(a.home)
	return o, err
}

// actor is who runs the command.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// contents prints what is in a backup.
func (a *app) contents(c backup.Contents) {
	var rows int64
	for _, t := range c.Tables {
		rows += t.Rows
	}
	a.form([][2]string{{"Cluster", c.Cluster}, {"Node", c.Node}, {"Taken", clock(c.Time)}, {"By version", c.Program}, {"Record", fmt.Sprintf("%s, schema %d, %d rows", c.Engine, c.Schema, rows)},
		{"Files", fmt.Sprintf("%d, %s", c.Files, bytesText(c.Bytes))}})
	for _, p := range c.Outside {
		fmt.Fprintf(a.out, "not in it: %s, which the configuration names outside the home folder\n", p)
	}
}

// rerecordCmd is `locktone restore FILE`.
type restoreCmd struct {
	File           string `arg:"" help:"Backup." type:"existingfile"`
	Check          bool   `help:"Read all of it and say what is in it; write nothing."`
	DSN            string `help:"Where the record goes: postgres://... (its password in PGPASSFILE), or a file below the home folder. Left out: where the node's configuration says." name:"dsn" xor:"record"`
	Node           string `help:"Node file (YAML) to take the place of the one in the backup." type:"existingfile" xor:"record"`
	PassphraseFile string `help:"File whose first line is the passphrase; otherwise it is asked for, or read from standard input." type:"existingfile"`
	Key            string `help:"Private key file, for a backup that was closed for a recipient." type:"existingfile"`
}

func (c *restoreCmd) key(a *app) (k backup.Key, err error) {
	if c.Key == "" {
		k.Passphrase, err = a.passphrase(c.PassphraseFile, "Passphrase of the backup: ")
		return k, err
	}
	b, err := os.ReadFile(c.Key)
	if err == nil {
		k.Private, err = backup.ParsePrivateKey(string(b))
	}
	return k, err
}

// Run restores, or only looks.
func (c *restoreCmd) Run(a *app) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	key, err := c.key(a)
	if err != nil {
		return err
	}
	open := func() (io.Reader, error) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("%s is read twice, so it must be a file: %w", c.File, err)
		}
		return backup.Unseal(f, key)
	}
	progress := a.progress()
	out, err := c.restore(a, open, progress.say)
	progress.end()
	if err != nil {
		return err
	}
	switch {
	case a.json && c.Check:
		return a.printJSON(out.Contents)
	case a.json:
		return a.printJSON(out)
	case c.Check:
		fmt.Fprintf(a.out, "%s is whole\n", c.File)
		a.contents(out.Contents)
		return nil
	}
	a.contents(out.Contents)
	fmt.Fprintf(a.out, "\nrestored to %s, record %s\n", out.Home, out.Record)
	for _, n := range out.Notes {
		fmt.Fprintln(a.out, "note:", n)
	}
	fmt.Fprintf(a.out, "Start it with locktone up --home %s; the node it was taken of must not run any more.\n", out.Home)
	return nil
}

func (c *restoreCmd) restore(a *app, open func() (io.Reader, error), say func(string)) (backup.Restored, error) {
	if c.Check {
		say("reading the backup")
		plain, err := open()
		if err != nil {
			return backup.Restored{}, err
		}
		contents, err := backup.Check(plain)
		return backup.Restored{Contents: contents}, err
	}
	t := backup.Target{Home: a.home, DSN: c.DSN, Name: filepath.Base(c.File), Actor: actor(), Progress: say}
	if c.Node != "" {
		var err error
		if t.Node, err = os.ReadFile(c.Node); err != nil {
			return backup.Restored{}, err
		}
	}
	lock, err := site.LockHome(a.home)
	if err != nil {
		return backup.Restored{}, err
	}
	defer lock.Close()
	return backup.Restore(a.ctx, open, t)
}

// recordCmd is `locktone store`.
type recordCmd struct {
	Schema  schemaCmd  `cmd:"" help:"Which version of the schema the record has, and which this program works with."`
	Migrate migrateCmd `cmd:"" help:"Bring the record to a version of the schema: down, before an older program is started on it."`
}

// schemaCmd is `locktone store schema`.
type schemaCmd struct {
	Node string `help:"Node file (YAML), where it is not HOME/node.yaml." type:"existingfile"`
}

// migrateCmd is `locktone store migrate`.
type migrateCmd struct {
	To   int64  `help:"The version." required:""`
	Yes  bool   `help:"Do it, also when something is lost or somebody else has the database open."`
	Node string `help:"Node file (YAML), where it is not HOME/node.yaml." type:"existingfile"`
}

// Run shows the versions.
func (c *schemaCmd) Run(a *app) error {
	o, err := a.stopped(c.Node)
	if err != nil {
		return err
	}
	defer o.lock.Close()
	p, err := store.PlanSchema(a.ctx, o.dsn, -1)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	a.form([][2]string{{"Record", p.Location}, {"Schema", strconv.FormatInt(p.From, 10)}, {"This program", "1 to " + strconv.FormatInt(p.Newest, 10)}})
	return nil
}

// Run says what would be lost, and with --yes, or when nothing is, migrates.
func (c *migrateCmd) Run(a *app) error {
	o, err := a.stopped(c.Node)
	if err != nil {
		return err
	}
	defer o.lock.Close()
	p, err := store.PlanSchema(a.ctx, o.dsn, c.To)
	if err != nil {
		return err
	}
	if !a.json {
		fmt.Fprintf(a.out, "%s: schema %d to %d\n", p.Location, p.From, p.To)
		for _, l := range p.Loses {
			fmt.Fprintln(a.out, "lost:", l)
		}
	}
	if !c.Yes && len(p.Loses) > 0 {
		return fmt.Errorf("nothing was done, because this would be lost: %s; take a backup, then say --yes", strings.Join(p.Loses, ", "))
	}
	if !c.Yes && p.Others > 0 {
		return fmt.Errorf("nothing was done, because the database has %d other sessions: stop the other nodes, then say --yes if what is left is none of them", p.Others)
	}
	detail := fmt.Sprintf("from %d to %d", p.From, p.To)
	if len(p.Loses) > 0 {
		detail += ", lost: " + strings.Join(p.Loses, ", ")
	}
	if _, err := store.MigrateSchema(a.ctx, o.dsn, c.To, store.AuditEntry{Actor: actor(), Source: "command", Action: "migrate", Object: "schema", Result: "ok", Detail: detail}); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	fmt.Fprintf(a.out, "the record has schema %d; programs that know it: this one until its next start, which takes it up again, and those of its time\n", p.To)
	return nil
}
