package resilience

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/trustlist"
)

// TestUploadedRoot: the root of a trunk's far end is uploaded over the API, and counts at the next handshake; removed, the
// connections under it are closed at once, while the calls of others go on.
func TestUploadedRoot(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	trunkState(t, n.a, "in-service", "")
	ok(t, os.RemoveAll(n.trustOfA)) // the folder knew the neighbour; from now on only the store does
	ok(t, n.a.Renew(within(t, step)))
	trunkState(t, n.a, "out-of-service", "")
	local := connect(t, n.alice, n.bob)

	var added admin.Rows[admin.TrustedCertificate]
	begin := time.Now()
	api(t, n.a.Home(), http.MethodPost, "/v1/trust/stores/callmanager-trust", admin.TrustUpload{Data: n.b.CA.RootsPEM(), File: "south.pem"}, &added)
	client := n.b.Identity("callmanager").Snapshot().Certificates.Client[0]
	eventually(t, step, func() error { return welcome(t, n.a, client) })
	t.Logf("let in %v after the upload began", time.Since(begin))
	if took := time.Since(begin); took > time.Second {
		t.Errorf("an uploaded root counts only after %v", took)
	}
	trunkState(t, n.a, "in-service", "")
	trunkState(t, n.b, "in-service", "")
	across := connect(t, n.anna, n.bob)
	across.hear(t)
	across.end(t)

	begin = time.Now()
	for _, c := range added.Rows {
		api(t, n.a.Home(), http.MethodDelete, "/v1/trust/stores/callmanager-trust/"+c.Fingerprint, nil, nil)
	}
	eventually(t, step, func() error {
		if open := append(connections(t, n.a, "inbound", n.b), connections(t, n.a, "outbound", n.b)...); len(open) > 0 {
			return fmt.Errorf("%d connections of a peer whose root was removed are open", len(open))
		}
		return nil
	})
	t.Logf("closed %v after the removal began", time.Since(begin))
	if took := time.Since(begin); took > time.Second {
		t.Errorf("a removed root counts for another %v", took)
	}
	if err := welcome(t, n.a, client); err == nil {
		t.Error("let in under a root that was removed")
	}
	trunkState(t, n.a, "out-of-service", "")
	local.hear(t)
	local.end(t)
}

// welcome says whether a peer's handshake is completed and its OPTIONS answered.
func welcome(t *testing.T, s *lab.Site, c pki.Credential) error {
	ctx := within(t, step)
	tc, err := tlsTo(ctx, "", addrOf(s, 5061), &c)
	if err != nil {
		return err
	}
	defer tc.Close()
	if _, err := io.WriteString(tc, request("OPTIONS", "alice", "TLS")); err != nil {
		return err
	}
	var one [1]byte
	_, err = tc.Read(one[:])
	return err
}

// fetched is every version of a list that a phone was served.
type fetched struct {
	mu    sync.Mutex
	lists []*trustlist.List
}

// get fetches a list and holds it against every version seen before: a phone may hold any of them.
func (f *fetched) get(ctx context.Context, src enroll.Source, kind trustlist.Kind, device string) (*trustlist.List, error) {
	b, err := src.Fetch(ctx, kind.DeviceFilename(device))
	if err != nil {
		return nil, err
	}
	fresh, err := trustlist.Parse(b)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, held := range f.lists {
		if _, err := trustlist.AcceptPhone(fresh, held); err != nil {
			return nil, fmt.Errorf("%s of %v, held %s of %v: %w", kind, fresh.Header.Time, held.Kind, held.Header.Time, err)
		}
	}
	if !slices.ContainsFunc(f.lists, func(l *trustlist.List) bool { return string(l.Bytes()) == string(b) }) {
		f.lists = append(f.lists, fresh)
	}
	return fresh, nil
}

// TestTrustModeUnderFetches switches the cluster between mixed and non-secure over the API while a call is up and phones fetch
// their lists without a pause: whatever version a phone holds, what it is served verifies by it; the call goes on; and without
// security a signed CTL is served all the same, without the call managers' certificates.
func TestTrustModeUnderFetches(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Tune: impatient})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	up := connect(t, alice, bob)
	up.hear(t)
	ctx, stop := context.WithCancel(t.Context())
	var seen fetched
	var count atomic.Int64
	var phones sync.WaitGroup
	for i, device := range []string{"alice", "bob", "alice"} {
		src := []enroll.Source{enroll.TFTP{Server: tftpAddr(s), BlockSize: 1400}, enroll.HTTP{Server: httpAddr(s)}, enroll.HTTP{Server: httpAddr(s)}}[i]
		phones.Go(func() {
			for ctx.Err() == nil {
				for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
					if _, err := seen.get(ctx, src, kind, device); err != nil && ctx.Err() == nil {
						t.Errorf("%s: %v", device, err)
						return
					}
					count.Add(1)
				}
			}
		})
	}
	records := map[string]int{}
	turns := 3
	if all() {
		turns = 20
	}
	for i := range 2 * turns {
		want, code := []string{"non-secure", "mixed"}[i%2], i%2
		var m admin.Mode
		begin := time.Now()
		api(t, s.Home(), http.MethodPut, "/v1/trust/mode", map[string]string{"mode": want}, &m)
		if m.Code != code || !m.Changed || time.Since(begin) > 5*time.Second {
			t.Errorf("mode %s: %+v after %v", want, m, time.Since(begin))
		}
		l := must(seen.get(within(t, step), enroll.HTTP{Server: httpAddr(s)}, trustlist.CTL, "alice"))(t)
		records[want] = len(l.Records)
		managers := 0 // with their certificates
		for _, r := range l.ByRole(trustlist.RoleCCM, trustlist.RoleCCMTFTP) {
			if len(r.Certificate) > 0 {
				managers++
			}
		}
		if must(l.Verify(trustlist.PhoneReading))(t) == nil || len(l.ByRole(trustlist.RoleSAST)) < 2 || (managers == 0) != (want == "non-secure") {
			t.Errorf("the CTL of a %s cluster: %d call managers\n%s", want, managers, l.Text(trustlist.TextOptions{}))
		}
		up.hear(t)
	}
	stop()
	phones.Wait()
	t.Logf("%d fetches; %d versions; a CTL has %v records", count.Load(), len(seen.lists), records)
	if count.Load() < 20 || len(seen.lists) < 2*turns {
		t.Errorf("%d fetches of %d versions", count.Load(), len(seen.lists))
	}
	up.hear(t)
	up.end(t)
	goodCall(t, alice, bob)
}

// TestStoreAwayWhileFetching: while the store cannot be read nobody is told that a file does not exist, which to a phone would
// mean that the cluster is not secure: TFTP stays silent, HTTP says 503. The status says why.
func TestStoreAwayWhileFetching(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Config: config.Default("node1")})
	names := []string{trustlist.CTL.DeviceFilename("alice"), trustlist.CTL.Filename(), trustlist.ITL.Filename(), "alice.cnf.xml.sgn"}
	tftp, web := enroll.TFTP{Server: tftpAddr(s), Timeout: 500 * time.Millisecond, Attempts: 2}, enroll.HTTP{Server: httpAddr(s)}
	_, err := tftp.Fetch(within(t, step), names[1])
	ok(t, err)
	eventually(t, step, func() error { // the site is told of it after the client has it; All writes it down
		if all := must(s.Holdings.All(t.Context()))(t); len(all) == 0 {
			return errors.New("the fetch is not known")
		}
		return nil
	})
	ok(t, s.Store.Close())
	for _, name := range names {
		for _, src := range []enroll.Source{tftp, web} {
			if b, err := src.Fetch(within(t, step), name); errors.Is(err, os.ErrNotExist) {
				t.Errorf("%T says that there is no %s while the store is away", src, name)
			} else if err == nil {
				t.Errorf("%T: %s, %d bytes, without a store", src, name, len(b))
			}
		}
	}
	eventually(t, step, func() error {
		st := s.Provisioning.Status(t.Context())
		if st.State != "degraded" || !strings.Contains(st.Problem, "could not be served") {
			return fmt.Errorf("status while the store is away: %+v", st)
		}
		return nil
	})
}

// TestFullDiskWhileFetching: on a full disk phones are served as before; the lists they were served are noted when there is space again.
func TestFullDiskWhileFetching(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "48m")
	s := start(t, lab.Options{Home: filepath.Join(disk, "home")})
	tftp := enroll.TFTP{Server: tftpAddr(s), BlockSize: 1400}
	free := fill(t, disk)
	for i := range 40 {
		for _, name := range []string{trustlist.CTL.DeviceFilename("alice"), trustlist.ITL.DeviceFilename("alice"), "alice.cnf.xml.sgn", "XMLDefault.cnf.xml.sgn"} {
			if _, err := tftp.Fetch(within(t, step), name); errors.Is(err, os.ErrNotExist) {
				t.Fatalf("fetch %d of %s: not found, on a full disk", i, name)
			} else if err != nil {
				t.Errorf("fetch %d of %s: %v", i, name, err)
			}
		}
	}
	free()
	eventually(t, time.Minute, func() error {
		h, known, err := s.Holdings.Get(t.Context(), "alice")
		all, listed := s.Holdings.All(t.Context())
		if err != nil || listed != nil || !known || len(all) == 0 || h.CTL.May() == nil {
			return fmt.Errorf("who holds what, after space was freed: %+v %v, %d holders %v", h, err, len(all), listed)
		}
		return nil
	})
}
