package upgrade

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/locktone/locktone/backup"
	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/secret"
	"github.com/locktone/locktone/wire/trustlist"
)

// TestWholeSite backs a site up while calls run and records are written, after a rotation, and restores it with the other engine:
// the same authority, the same signers, lists that go on counting; the phones register with their old certificates, verify the
// site by the roots they have, and call.
func TestWholeSite(t *testing.T) {
	pg := postgres.Need(t)
	t.Run("SQLite to PostgreSQL", func(t *testing.T) { moved(t, "", pg.Database(t)) })
	t.Run("PostgreSQL to SQLite", func(t *testing.T) { moved(t, pg.Database(t), "locktone.db") })
}

// owner is a phone with what it keeps over the years: its certificate and the roots it was given.
type owner struct {
	name, number string
	credential   pki.Credential
	roots        *x509.CertPool
}

func (o owner) at(t *testing.T, ctx context.Context, s *lab.Site) *phone.Phone {
	t.Helper()
	p, err := phone.Start(ctx, phone.Config{Name: o.name, Number: o.number, Domain: "locktone.test", Server: netip.AddrPortFrom(s.CallManager(), 5061).String(),
		Certificate: o.credential.TLS(), Roots: o.roots})
	ok(t, err)
	ok(t, p.WaitRegistered(ctx))
	return p
}

func call(ctx context.Context, from, to *phone.Phone, number string) error {
	a, err := from.Dial(ctx, number)
	if err != nil {
		return err
	}
	select {
	case b := <-to.Incoming():
		if err := b.Answer(ctx); err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.WaitAnswered(ctx); err != nil {
		return err
	}
	return a.Hangup(ctx)
}

func moved(t *testing.T, from, to string) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	first, err := lab.Start(ctx, lab.Options{Home: filepath.Join(t.TempDir(), "first"), Node: config.NodeConfig{Store: config.StoreConfig{DSN: from}}})
	ok(t, err)
	defer first.Close(context.WithoutCancel(ctx))
	owners := []owner{{name: "alice", number: "1001"}, {name: "bob", number: "1002"}}
	for i := range owners {
		owners[i].credential, err = first.Issue(ctx, pki.KindDevice, owners[i].name)
		ok(t, err)
		owners[i].roots = first.Roots()
	}
	rotate(t, ctx, first)
	alice, bob := owners[0].at(t, ctx, first), owners[1].at(t, ctx, first)
	ok(t, call(ctx, alice, bob, "1002"))
	calling, stop := context.WithCancel(ctx)
	done := make(chan int)
	go func() {
		n := 0
		for calling.Err() == nil && call(calling, alice, bob, "1002") == nil {
			n++
		}
		done <- n
	}()
	for recorded(t, ctx, first) < 2 { // nothing announces a row
		time.Sleep(20 * time.Millisecond)
	}
	file := filepath.Join(t.TempDir(), "site.backup")
	contents := take(t, ctx, first.Home(), file)
	before := recorded(t, ctx, first)
	stop()
	t.Logf("%d calls were made, %+v", <-done, contents.Tables)
	ok(t, alice.Close(ctx))
	ok(t, bob.Close(ctx))
	signers, roots := first.Signers.All(), first.CA.RootsPEM()
	list, err := first.Lists.Current(ctx, trustlist.CTL)
	ok(t, err)
	ok(t, first.Close(ctx))

	home := filepath.Join(t.TempDir(), "second")
	lock, err := site.LockHome(home)
	ok(t, err)
	_, err = backup.Restore(ctx, opener(t, file), backup.Target{Home: home, DSN: to, Name: "site.backup", Actor: "test"})
	ok(t, err)
	ok(t, lock.Close())
	node, err := config.LoadNode(filepath.Join(home, "node.yaml"))
	ok(t, err)
	second, err := lab.Start(ctx, lab.Options{Home: home, Node: *node})
	ok(t, err)
	defer second.Close(context.WithoutCancel(ctx))
	if !bytes.Equal(second.CA.RootsPEM(), roots) {
		t.Error("the authority is another one")
	}
	for i, s := range second.Signers.All() {
		if !s.Certificate.Equal(signers[i].Certificate) || !s.Online() && signers[i].Online() {
			t.Errorf("the signer %s is another one, or its key is not here", s.Name)
		}
	}
	if now, err := second.Lists.Current(ctx, trustlist.CTL); err != nil || now.Number < list.Number {
		t.Errorf("the list has version %d, had %d (%v)", now.Number, list.Number, err)
	}
	if n := recorded(t, ctx, second); n < 2 || n > before {
		t.Errorf("%d calls are in the record: 2 were before the backup began, %d when it had ended", n, before)
	}
	alice, bob = owners[0].at(t, ctx, second), owners[1].at(t, ctx, second)
	defer alice.Close(context.WithoutCancel(ctx))
	defer bob.Close(context.WithoutCancel(ctx))
	ok(t, call(ctx, alice, bob, "1002"))
	ok(t, call(ctx, bob, alice, "1001"))
	rotate(t, ctx, second) // keys and record agree so well that the next rotation goes through
}

// rotate replaces the certificates of the TVS.
func rotate(t *testing.T, ctx context.Context, s *lab.Site) {
	t.Helper()
	_, err := s.Rotation.Begin(ctx, "tvs", rotation.Options{}, "test")
	ok(t, err)
	for {
		st, err := s.Rotation.Status(ctx)
		ok(t, err)
		if !st.Running() {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the rotation stands at step %d of %d: %s", st.Done, len(st.Steps), st.Problem)
		}
	}
}

var words = secret.New("a passphrase for tests")

// take makes a backup through the socket of a running node, as the command does.
func take(t *testing.T, ctx context.Context, home, file string) backup.Contents {
	t.Helper()
	f, err := os.Create(file)
	ok(t, err)
	sealed, err := backup.Seal(f, backup.Lock{Passphrase: words})
	ok(t, err)
	api := admin.NewClient(home)
	defer api.Close()
	r, w := io.Pipe()
	go func() {
		_, err := api.Download(ctx, http.MethodPost, "/v1/backup", w)
		w.CloseWithError(err)
	}()
	contents, err := backup.Copy(sealed, r, func(string, int64, int64) {})
	ok(t, err)
	ok(t, sealed.Close())
	ok(t, f.Close())
	return contents
}

func opener(t *testing.T, file string) func() (io.Reader, error) {
	b, err := os.ReadFile(file)
	ok(t, err)
	return func() (io.Reader, error) { return backup.Unseal(bytes.NewReader(b), backup.Key{Passphrase: words}) }
}

// recorded is how many calls are in the record.
func recorded(t *testing.T, ctx context.Context, s *lab.Site) int {
	t.Helper()
	calls, err := s.Store.Calls(ctx, store.CallQuery{Limit: 5000})
	ok(t, err)
	return len(calls)
}
