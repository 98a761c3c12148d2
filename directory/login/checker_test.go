package login

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/secret"
)

func TestLocal(t *testing.T) {
	t.Parallel()
	k := newKit(t, "")
	r := k.want("ann", "correct horse", Success)
	if r.ExpiresInDays != Never || r.User != "ann" {
		t.Errorf("%+v", r)
	}
	k.want("ann", "correct hors", WrongCredentials)
	k.want("ann", "", WrongCredentials)
	k.want("Ann", "correct horse", WrongCredentials)
	k.want("dan", "anything", WrongCredentials)
	k.want("nobody", "correct horse", WrongCredentials)
	k.want(strings.Repeat("a", 129), "correct horse", WrongCredentials)
	k.want("ann", strings.Repeat("a", 257), WrongCredentials)
	// That an account is disabled is told to who knows the password.
	k.want("bob", "battery", WrongCredentials)
	k.want("bob", "battery staple", AccountDisabled)
}

// TestStages: what is told and what is kept is as the field's trace has it, and neither has the password, nor what is kept its length.
func TestStages(t *testing.T) {
	t.Parallel()
	k := newKit(t, "")
	k.want("ann", "correct horse", Success)
	want := strings.TrimSpace(`
AuthenticationImpl::login:enter
AuthenticationImpl::retrieveCredential:enter
userid is ann
AuthenticationImpl::login - no encryptedpassword Credential, look for password
AuthenticationImpl::login (Auth with password. Calling authenticateUserWithPassword)
authenticationDB::authenticateUserWithPassword():enter
Credential Length is: 13
authenticationDB: credential policy (defaults): not locked, 0 failed logins of 3 allowed
authenticationDB::login (Authenticating using the configuration)
authenticationDB::authenticateUserWithPassword():Exit(0)
Successfully authenticated user: ann
AuthenticationImpl::login: result=Success user=ann Expire days=4294967295`)
	if got := strings.Join(k.told, "\n"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
	k.want("evil\nname\x00", "x", WrongCredentials)
	k.Close()
	last, err := k.Accounts().Last(t.Context(), "ann")
	if err != nil || last.Reason != Success || len(last.Stages) != 11 || last.From != "192.0.2.1:4000" || last.Node != "n1" {
		t.Errorf("%+v, %v", last, err)
	}
	all := k.accounts.text() + k.verifiers.text() + strings.Join(k.told, "\n")
	if strings.Contains(all, "correct horse") || strings.Contains(k.accounts.text(), "Length") || strings.Contains(all, "argon2id") || strings.Contains(strings.Join(k.told, ""), "evil\n") {
		t.Error(all)
	}
}

func TestLockOut(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, failedLogins: 3, resetFailedLoginsAfter: 10m, lockOutDuration: 5m}")
	k.want("ann", "guess 1", WrongCredentials)
	k.want("ann", "guess 2", WrongCredentials)
	k.want("ann", "correct horse", Success) // and what was counted is forgotten
	k.want("ann", "guess 3", WrongCredentials)
	k.want("ann", "guess 4", WrongCredentials)
	k.pass(11 * time.Minute) // as it is after a while
	k.want("ann", "guess 5", WrongCredentials)
	k.want("ann", "guess 6", WrongCredentials)
	r := k.want("ann", "guess 7", WrongCredentials)
	if !strings.Contains(r.Why, "locked after failed logins") {
		t.Error(r.Why)
	}
	k.want("ann", "correct horse", AccountLocked)
	k.restart()
	r = k.want("ann", "correct horse", AccountLocked)
	if !strings.Contains(r.Why, "locktone login unlock ann") {
		t.Error(r.Why)
	}
	k.pass(5 * time.Minute)
	k.want("ann", "guess 8", WrongCredentials)
	k.want("ann", "guess 9", WrongCredentials)
	k.want("ann", "correct horse", Success)
	// Names that nobody has are locked out alike.
	for range 3 {
		k.want("nobody", "guess", WrongCredentials)
	}
	k.want("nobody", "guess", AccountLocked)
	k.pass(5 * time.Minute)
	k.want("nobody", "guess", WrongCredentials)
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, failedLogins: 1, administratorMustUnlock: true, inactiveDays: 30}")
	policy := k.current().DefaultPolicy()
	k.want("ann", "guess", WrongCredentials)
	k.pass(20 * 24 * time.Hour)
	k.want("ann", "correct horse", AccountLocked)
	if _, err := k.Accounts().Unlock(t.Context(), "ann", policy); err != nil {
		t.Fatal(err)
	}
	k.want("ann", "correct horse", Success)
	if _, err := k.Accounts().Unlock(t.Context(), "ann", policy); err == nil {
		t.Error("what is not locked was unlocked")
	}
	k.pass(29 * 24 * time.Hour)
	k.want("ann", "correct horse", Success)
	k.pass(31 * 24 * time.Hour)
	if r := k.want("ann", "correct horse", AccountLocked); !strings.Contains(r.Why, "nobody logged in for long") {
		t.Error(r.Why)
	}
	if _, err := k.Accounts().Unlock(t.Context(), "ann", policy); err != nil {
		t.Fatal(err)
	}
	k.want("ann", "correct horse", Success)
}

func TestUnlimited(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, unlimitedFailedLogins: true}")
	for i := range 12 {
		k.want("ann", fmt.Sprint("guess ", i), WrongCredentials)
	}
	k.want("ann", "correct horse", Success)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, expiresAfterDays: 30, warningDays: 5}")
	k.Meet(t.Context()) // the age begins with the configuration, not with the first login
	k.pass(10*day + time.Hour)
	if r := k.want("ann", "correct horse", Success); r.ExpiresInDays != 19 || r.Warn {
		t.Errorf("%+v", r)
	}
	k.pass(15 * day)
	if r := k.want("ann", "correct horse", Success); r.ExpiresInDays != 4 || !r.Warn {
		t.Errorf("%+v", r)
	}
	k.pass(5 * day)
	k.want("ann", "correct hors", WrongCredentials)
	k.want("ann", "correct horse", PasswordExpired)
	users := strings.Replace(kitUsers, `"}`, `", cannotChangePassword: true}`, 1)
	k.configure("{name: default, expiresAfterDays: 30}", users)
	k.want("ann", "correct horse", PasswordExpiredHard)
	k.configure("{name: default, expiresAfterDays: 30}", strings.Replace(kitUsers, `"}`, `", passwordDoesNotExpire: true}`, 1))
	k.pass(400 * day)
	if r := k.want("ann", "correct horse", Success); r.ExpiresInDays != Never {
		t.Errorf("%+v", r)
	}
	k.configure("", strings.Replace(kitUsers, `"}`, `", mustChangePassword: true}`, 1))
	k.want("ann", "correct horse", PasswordExpired)
}

func TestLDAPOutcomes(t *testing.T) {
	t.Parallel()
	k := newKit(t, "")
	if r := k.want("cid", "x", DirectoryRefused); !strings.Contains(r.Why, "ldapDirectories") {
		t.Error(r.Why)
	}
	for _, want := range []Reason{Success, WrongCredentials, AccountLocked, AccountDisabled, PasswordExpired, PasswordExpiredHard, DirectoryAway, DirectorySilent, DirectoryRefused} {
		k.directory = directoryOf(func(_ context.Context, user string, p secret.Text, stage StageFunc) Outcome {
			if user != "cid" || p.Reveal() != "the password" {
				t.Errorf("asked for %s", user)
			}
			stage("LDAP userid is 'cid'")
			return Outcome{Reason: want, Why: "as it is", ExpiresInDays: 3}
		})
		if r := k.want("cid", "the password", want); want == Success && (r.ExpiresInDays != 3 || !r.Warn) {
			t.Errorf("%+v", r)
		}
	}
	k.directory = directoryOf(func(context.Context, string, secret.Text, StageFunc) Outcome {
		t.Error("an empty password was sent")
		return Outcome{}
	})
	k.want("cid", "", WrongCredentials)
}

// TestSlowDirectory: a directory that never answers holds up its own users for the limit and nobody else.
func TestSlowDirectory(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", func(c *Config) { c.Limit, c.MaxOfLane, c.Now = 2*time.Second, 2, time.Now })
	asked := make(chan struct{}, 100)
	var inside, most atomic.Int32
	k.directory = directoryOf(func(ctx context.Context, _ string, _ secret.Text, _ StageFunc) Outcome {
		asked <- struct{}{}
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer inside.Add(-1)
		<-ctx.Done()
		return Outcome{Reason: DirectoryAway, Why: "no answer"}
	})
	users := "users: [{name: ann, password: \"correct horse\"}"
	for i := range 20 {
		users += fmt.Sprintf(", {name: u%d, authentication: ldap}", i)
	}
	k.configure("", users+"]")
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[Reason]int{}
	for i := range 20 {
		wg.Go(func() {
			r := k.try(fmt.Sprint("u", i), "x")
			mu.Lock()
			defer mu.Unlock()
			got[r.Reason]++
		})
	}
	<-asked
	<-asked
	k.want("ann", "correct horse", Success) // while the lane is full
	wg.Wait()
	if got[DirectoryAway] < 2 || got[DirectoryAway]+got[Timeout] != 20 || most.Load() != 2 {
		t.Errorf("%v, %d at once", got, most.Load())
	}
}

// TestGuessesAtTheSameTime: guesses in parallel are no more than guesses in a row, and those that repeat one password are one.
func TestGuessesAtTheSameTime(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, failedLogins: 5}")
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[Reason]int{}
	for i := range 40 {
		wg.Go(func() {
			r := k.try("ann", fmt.Sprint("guess ", i))
			mu.Lock()
			defer mu.Unlock()
			got[r.Reason]++
		})
	}
	wg.Wait()
	if got[WrongCredentials] != 5 || got[AccountLocked] != 35 {
		t.Errorf("%v", got)
	}
}

// TestStorm: many who come with the same password at once are answered by few comparisons; more than may wait are told so.
func TestStorm(t *testing.T) {
	t.Parallel()
	compared := 0
	k := newKit(t, "", func(c *Config) { c.MaxOfUser, c.MaxWaiting = 200, 200 })
	hold := make(chan struct{})
	k.directory = directoryOf(func(context.Context, string, secret.Text, StageFunc) Outcome {
		compared++
		<-hold
		return Outcome{Reason: Success, ExpiresInDays: Never}
	})
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[Reason]int{}
	for range 250 {
		wg.Go(func() {
			r := k.try("cid", "the password")
			mu.Lock()
			defer mu.Unlock()
			got[r.Reason]++
			if got[Overloaded] == 50 && r.Reason == Overloaded {
				close(hold)
			}
		})
	}
	wg.Wait()
	if got[Success] != 200 || got[Overloaded] != 50 || compared > 3 {
		t.Errorf("%v, %d were asked for", got, compared)
	}
}

// TestStoreAway: what a login changes waits with the node, and a lock-out holds.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, failedLogins: 1}")
	k.accounts.down = true
	k.want("ann", "guess", WrongCredentials)
	k.want("ann", "correct horse", AccountLocked)
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := newBudget(10)
	small, err := b.take(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 3)
	ctx, cancel := context.WithCancel(t.Context())
	entered := func(n int) {
		for {
			b.mu.Lock()
			w := len(b.waiting)
			b.mu.Unlock()
			if w == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	go func() {
		if give, err := b.take(ctx, 1000); err != nil { // all there is
			got <- "big: " + err.Error()
		} else {
			give()
		}
	}()
	entered(1)
	go func() {
		give, _ := b.take(context.Background(), 1) // does not overtake
		got <- "little"
		give()
	}()
	entered(2)
	select {
	case x := <-got:
		t.Fatal(x, "overtook")
	default:
	}
	cancel()
	a, c := <-got, <-got
	if a+c != "big: context canceledlittle" && c+a != "big: context canceledlittle" {
		t.Error(a, c)
	}
	small()
	if b.free != 10 || len(b.waiting) != 0 {
		t.Errorf("%d free, %d wait", b.free, len(b.waiting))
	}
}

func TestGrace(t *testing.T) {
	t.Parallel()
	policy := "{name: default, directoryGrace: 2h, failedLogins: 3}"
	k := newKit(t, policy)
	away := Outcome{Reason: DirectoryAway, Why: "nobody answers"}
	answer := Outcome{Reason: Success, ExpiresInDays: Never}
	k.directory = directoryOf(func(context.Context, string, secret.Text, StageFunc) Outcome { return answer })
	lose := func(o Outcome) { answer = o }
	lose(away)
	k.want("cid", "first", DirectoryAway) // nothing was confirmed
	lose(Outcome{Reason: Success, ExpiresInDays: Never})
	k.want("cid", "first", Success)
	lose(away)
	if r := k.want("cid", "first", Success); !r.Grace {
		t.Error("not told apart")
	}
	k.restart()
	k.want("cid", "first", Success)
	k.want("cid", "second", WrongCredentials)
	k.pass(3 * time.Hour)
	k.want("cid", "first", DirectoryAway) // too long ago
	// A password that was changed is not taken any more, even when nobody has logged in with the new one.
	lose(Outcome{Reason: Success, ExpiresInDays: Never})
	k.want("cid", "first", Success)
	lose(Outcome{Reason: WrongCredentials})
	k.want("cid", "a guess", WrongCredentials)
	k.want("cid", "first", WrongCredentials)
	lose(away)
	k.want("cid", "first", DirectoryAway)
	// Nor is an account that was seen disabled, locked or expired.
	for _, state := range []Reason{AccountDisabled, AccountLocked, PasswordExpired, PasswordExpiredHard} {
		lose(Outcome{Reason: Success, ExpiresInDays: Never})
		k.want("cid", "first", Success)
		lose(Outcome{Reason: state})
		k.want("cid", "first", state)
		lose(away)
		if r := k.want("cid", "first", DirectoryAway); !strings.Contains(r.Why, state.String()) {
			t.Error(r.Why)
		}
	}
	// Without grace in the policy nothing stays.
	lose(Outcome{Reason: Success, ExpiresInDays: Never})
	k.want("cid", "first", Success)
	if !strings.Contains(k.verifiers.text(), "argon2id") {
		t.Error("nothing was remembered")
	}
	k.configure("", kitUsers)
	k.want("cid", "first", Success)
	if k.verifiers.text() != "" || strings.Contains(k.accounts.text(), "argon2id") {
		t.Error(k.verifiers.text(), k.accounts.text())
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	var k *kit
	k = newKit(t, "", func(c *Config) {
		c.SetPassword = func(_ context.Context, user string, v config.Verifier) error {
			s := config.Site{Users: []config.User{{Name: user, Password: v}}, CredentialPolicies: []config.CredentialPolicy{k.current().DefaultPolicy()}}
			k.mu.Lock()
			k.site = directory.Compile(2, &s)
			k.mu.Unlock()
			return nil
		}
	})
	k.configure("{name: default, previousPasswords: 2, minimumChangeInterval: 1h, expiresAfterDays: 30}", kitUsers)
	change := func(old, next string) string {
		_, err := k.Change(t.Context(), Attempt{User: "ann", Password: secret.New(old)}, secret.New(next), nil)
		if err != nil {
			return err.Error()
		}
		return ""
	}
	k.Meet(t.Context())
	k.pass(31 * day)
	for _, c := range [][3]string{
		{"wrong", "new password", "wrong-credentials"}, {"correct horse", "short", "too short"}, {"correct horse", "correct horse", "in use before"},
		{"correct horse", "joann-2030", "name of the user"}, {"correct horse", "abababab", "repeats"}, {"correct horse", "87654321", "follow each other"}, {"correct horse", "67890123", "follow each other"},
	} {
		if got := change(c[0], c[1]); !strings.Contains(got, c[2]) || !strings.Contains(got, "was not changed") {
			t.Errorf("%v: %s", c, got)
		}
	}
	if got := change("correct horse", "new password"); got != "" { // it has expired, which is why it is changed
		t.Fatal(got)
	}
	if r := k.want("ann", "new password", Success); r.ExpiresInDays != 29 && r.ExpiresInDays != 30 {
		t.Errorf("%+v", r)
	}
	k.want("ann", "correct horse", WrongCredentials)
	if got := change("new password", "other password"); !strings.Contains(got, "less than 1h0m0s ago") {
		t.Error(got)
	}
	k.pass(2 * time.Hour)
	if got := change("new password", "correct horse"); !strings.Contains(got, "in use before") {
		t.Error(got)
	}
	for i := range 3 {
		if got := change([]string{"new password", "password of 1", "password of 2"}[i], fmt.Sprint("password of ", i+1)); got != "" {
			t.Fatal(got)
		}
		k.pass(2 * time.Hour)
	}
	if got := change("password of 3", "correct horse"); got != "" {
		t.Error(got, "although two alone are remembered")
	}
}

// TestTwoNodes: failures on either node count on both.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	k := newKit(t, "{name: default, failedLogins: 4}")
	other := New(k.cfg)
	defer other.Close()
	for i := range 2 {
		k.want("ann", fmt.Sprint("guess ", i), WrongCredentials)
		if r := other.Check(t.Context(), Attempt{User: "ann", Password: secret.New("guess")}, nil); r.Reason != WrongCredentials {
			t.Error(r.Reason)
		}
	}
	k.want("ann", "correct horse", AccountLocked)
	if r := other.Check(t.Context(), Attempt{User: "ann", Password: secret.New("correct horse")}, nil); r.Reason != AccountLocked {
		t.Error(r.Reason)
	}
}

// TestFloor: a failure is answered no earlier than the floor, an unknown name not earlier than a known one.
func TestFloor(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", func(c *Config) { c.Floor, c.Now = 300*time.Millisecond, time.Now })
	for _, user := range []string{"ann", "nobody", "dan", ""} {
		began := time.Now()
		k.want(user, "x", WrongCredentials)
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("%s was answered after %s", user, took)
		}
	}
}

func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	var s strangers
	for i := range maxStrangers + 10 {
		s.put(fmt.Sprint(i), Account{LastFailure: time.Unix(int64(i), 0)})
	}
	if len(s) != maxStrangers || s["0"] != nil || s["10"] == nil {
		t.Error(len(s))
	}
}

var _ Documents = (*store.Documents)(nil)
