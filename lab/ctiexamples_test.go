package lab_test

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/program"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// ctiPortSite is a site whose user tapi controls both phones and the CTI port "recorder", number 5001, and is given keys.
func ctiPortSite(t *testing.T, ctx context.Context) (s *lab.Site, alice, bob *phone.Phone) {
	t.Helper()
	c := config.Default("n1")
	tspUser(c)
	u := &c.Users[len(c.Users)-1]
	u.Devices, u.Groups = append(u.Devices, "recorder"), append(u.Groups, config.GroupCTISRTPKeys)
	c.Lines = append(c.Lines, config.Line{Number: "5001", Partition: "internal", CallingSearchSpace: "internal"})
	c.Devices = append(c.Devices, config.Device{Name: "recorder", Protocol: config.ProtocolCTIPort, DevicePool: "default",
		Lines: []config.Appearance{{Number: "5001", Partition: "internal"}}})
	s, err := lab.Start(ctx, lab.Options{Config: c.Canonical()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	answers := func(cfg *phone.Config) { cfg.Intercom = true }
	alice, bob = must(s.Phone(ctx, "alice", "1001", answers))(t), must(s.Phone(ctx, "bob", "1002", answers))(t)
	for _, p := range []*phone.Phone{alice, bob} {
		t.Cleanup(func() { p.Close(context.Background()) })
		if err := p.WaitRegistered(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return s, alice, bob
}

// TestCTIClientPort: a port of package cti takes the call of an encrypted phone, and both talk with the keys that the client is given.
func TestCTIClientPort(t *testing.T) {
	t.Parallel()
	ctx := within(t, 30*time.Second)
	s, alice, _ := ctiPortSite(t, ctx)
	p := must(cti.Open(ctx, tspConfig(t, ctx, s, "port1")))(t)
	defer p.Close()
	end := newRTPEnd(t)
	if err := p.OpenPort(ctx, "recorder", cti.Port{Address: end.at}); err != nil {
		t.Fatal(err)
	}
	a := dialled(t, ctx, alice, "5001")
	a.Tone(440)
	c := tspHeard(t, ctx, p, "call", func(e cti.NewCall) bool { return e.Call.Line.Number == "5001" }).Call
	if err := p.Accept(ctx, c); err != nil {
		t.Fatal(err)
	}
	tspHeard(t, ctx, p, "ringing", reaches(c.Line, ctiqbe.CallStateAccepted))
	if err := p.Answer(ctx, c); err != nil {
		t.Fatal(err)
	}
	heard := tspHeard(t, ctx, p, "key to hear by", func(k cti.Key) bool { return k.Receive && k.Call == c.ID && k.Device == "recorder" })
	said := tspHeard(t, ctx, p, "key to speak by", func(k cti.Key) bool { return !k.Receive && k.Call == c.ID })
	rx := tspHeard(t, ctx, p, "media to hear", func(m cti.Media) bool { return m.Receive && m.Call == c.ID })
	tx := tspHeard(t, ctx, p, "media to speak", func(m cti.Media) bool { return !m.Receive && m.Call == c.ID })
	if rx.Address != end.at || !rx.Start || !tx.Start || rx.Payload != ctiqbe.MediaPayloadG711MuLaw64K {
		t.Errorf("%+v %+v", rx, tx)
	}
	info := func(k cti.Key) ctiqbe.MediaEncryptionKeyInfo {
		key, salt := k.Material.Reveal()
		return ctiqbe.MediaEncryptionKeyInfo{AlgorithmID: k.Algorithm, Key: key, Salt: salt, KeyLength: uint32(len(key)), SaltLength: uint32(len(salt))}
	}
	end.speak(t, 620, tx.Address, cryptoOf(t, info(said)))
	end.hears(ctx, t, cryptoOf(t, info(heard)))
	if _, err := a.WaitTone(ctx, 620); err != nil {
		t.Error(err)
	}
	if err := p.CloseDevice(ctx, "recorder"); err != nil { // an application that gives its port back ends the call
		t.Fatal(err)
	}
	if _, _, err := a.WaitEnded(ctx); err != nil {
		t.Error(err)
	}
}

// example is one of cti/examples, running.
type example struct {
	*program.Output
	cmd *exec.Cmd
}

func runExample(t *testing.T, ctx context.Context, bin, name string, args ...string) *example {
	t.Helper()
	e := &example{&program.Output{}, exec.CommandContext(ctx, filepath.Join(bin, name), args...)}
	e.cmd.Stdout, e.cmd.Stderr = e.Output, e.Output
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return e
}

// says waits until the program has written something.
func (e *example) says(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	for !strings.Contains(e.String(), text) {
		if ctx.Err() != nil {
			t.Fatalf("%s does not say %q:\n%s", e.cmd.Path, text, e.String())
		}
		time.Sleep(10 * time.Millisecond) // a buffer has no event
	}
}

// stop ends the program by a signal; it must end well.
func (e *example) stop(t *testing.T) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	e.ends(t)
}

func (e *example) ends(t *testing.T) {
	t.Helper()
	if err := e.cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", e.cmd.Path, err, e.String())
	}
}

// tspFolder is a folder as locktone tsp configure and fetch-certificate leave it.
func tspFolder(t *testing.T, ctx context.Context, s *lab.Site, instance string) string {
	t.Helper()
	made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{User: "tapi", Instance: instance}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tsp")
	at := s.CallManager().String()
	form := cti.DefaultSettings()
	form.User, form.Password, form.Primary, form.Authorization = "tapi", secret.New(tspPassword), cti.Manager{IPv4: at}, secret.New(made.String.Reveal())
	form.Security = cti.Security{Instance: instance, CAPF: at, TFTP: s.Provisioning.TFTP().String(), Retries: 2, Interval: 100 * time.Millisecond}
	if err := form.Save(dir); err != nil {
		t.Fatal(err)
	}
	e := must(form.Enrolment(dir, nil, nil))(t)
	if r, err := e.Fetch(ctx); err != nil || !e.Status().Available {
		t.Fatalf("%+v %v", r, err)
	}
	form.Authorization = secret.Text{}
	if err := form.Save(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestCTIExamples builds cti/examples and runs them as programs: the dialer calls a phone, the screen pop names a caller, the recorder is
// called and holds what it heard. One folder serves all, one after the other: a certificate is for one program at a time.
func TestCTIExamples(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	bin := t.TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "github.com/locktone/locktone/cti/examples/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s, alice, bob := ctiPortSite(t, ctx)
	dir := tspFolder(t, ctx, s, "examples")

	dialer := runExample(t, ctx, bin, "dialer", "-dir", dir, "-device", "alice", "1002")
	b := <-bob.Incoming()
	if err := b.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.WaitConnected(ctx, "1001"); err != nil {
		t.Fatal(err)
	}
	if err := b.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	dialer.ends(t)
	dialer.says(t, ctx, "1002: talked for ")

	pop := runExample(t, ctx, bin, "screenpop", "-dir", dir)
	pop.says(t, ctx, "watching 3 lines")
	a := dialled(t, ctx, alice, "1002")
	<-bob.Incoming()
	pop.says(t, ctx, " calls 1002@bob")
	if text := pop.String(); !strings.Contains(text, "1001") {
		t.Errorf("who calls is not named:\n%s", text)
	}
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	pop.stop(t)
	runRecorder(t, ctx, bin, dir, alice, bob)
}

// runRecorder: two phones at once, each with a tone of its own; then in a conference that a phone makes, which the recorder leaves by its own end.
func runRecorder(t *testing.T, ctx context.Context, bin, dir string, alice, bob *phone.Phone) {
	out := filepath.Join(t.TempDir(), "calls")
	rec := runExample(t, ctx, bin, "recorder", "-dir", dir, "-out", out)
	rec.says(t, ctx, "5001@recorder records")
	a, b := dialled(t, ctx, alice, "5001"), dialled(t, ctx, bob, "5001")
	a.Tone(1000)
	b.Tone(600)
	for _, c := range []*phone.Call{a, b} {
		if err := c.WaitPackets(ctx, 100); err != nil { // two seconds
			t.Fatal(err, rec.String())
		}
	}
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	rec.says(t, ctx, "-1001.wav: ")
	recorded(t, rec, filepath.Join(out, "*-1001.wav"), 1000)
	if err := b.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	rec.says(t, ctx, "-1002.wav: ")
	recorded(t, rec, filepath.Join(out, "*-1002.wav"), 600)

	conference := filepath.Join(out, "conference")
	rec.stop(t)
	rec = runExample(t, ctx, bin, "recorder", "-dir", dir, "-out", conference)
	rec.says(t, ctx, "5001@recorder records")
	toBob := dialled(t, ctx, alice, "1002")
	b = <-bob.Incoming()
	if err := b.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := toBob.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	if err := toBob.Hold(ctx); err != nil {
		t.Fatal(err)
	}
	toPort := dialled(t, ctx, alice, "5001")
	if err := toPort.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	if err := toPort.Hold(ctx); err != nil {
		t.Fatal(err)
	}
	conf := dialled(t, ctx, alice, "*30")
	b.Tone(800)
	if _, err := conf.WaitTone(ctx, 800); err != nil { // alice hears bob in it
		t.Fatal(err)
	}
	if err := conf.WaitPackets(ctx, conf.Evidence().Media.Rx.Authenticated+120); err != nil { // as the recorder does; more than two seconds
		t.Fatal(err)
	}
	rec.stop(t) // in the middle of the call
	recorded(t, rec, filepath.Join(conference, "*-1001.wav"), 800)
}

// recorded: there is one such recording, for the owner's eyes only, and the last second but a half of it is a tone.
func recorded(t *testing.T, rec *example, pattern string, hz float64) {
	t.Helper()
	files := must(filepath.Glob(pattern))(t)
	if len(files) != 1 {
		t.Fatalf("%d recordings %s\n%s", len(files), pattern, rec.String())
	}
	pcm := must(wav.Read(must(os.ReadFile(files[0]))(t)))(t)
	if len(pcm) < 3*wav.Rate/2 {
		t.Fatalf("%s holds %d samples\n%s", files[0], len(pcm), rec.String())
	}
	var ear tone.Detector
	end := len(pcm) - wav.Rate/2
	_ = ear.WritePCM(pcm[end-wav.Rate : end])
	if got, level := ear.Result(); math.Abs(got-hz) > 2 {
		t.Errorf("%s: %.1f s, %.1f Hz at %.1f dBm0, want %.0f Hz\n%s", files[0], float64(len(pcm))/wav.Rate, got, level, hz, rec.String())
	}
	if info := must(os.Stat(files[0]))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v", files[0], info.Mode())
	}
}
