package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/wire/secret"
)

// Logins is what administration needs of users' logins. Where Accounts is nil, this node does not know of any.
type Logins struct {
	Accounts *login.Accounts
	// Change gives a user another password; (*login.Checker).Change. nil: not at this node.
	Change func(ctx context.Context, a login.Attempt, next secret.Text, tell login.StageFunc) (login.Result, error)
	// Compromised are the certificates of instances that are marked as compromised; Pardon lifts the marks of one instance.
	Compromised func(ctx context.Context) ([]Compromised, error)
	Pardon      func(ctx context.Context, user, instance string) error
}

// Compromised is a certificate that is marked as compromised.
type Compromised struct {
	Issuer, Serial string
	Why            string
}

// LoginExplained is what is known of a user's logins.
type LoginExplained struct {
	User        string         `json:"user"`
	DisplayName string         `json:"displayName,omitempty"`
	Application bool           `json:"application,omitempty"`
	Source      string         `json:"source" doc:"who knows the password: configuration, or LDAP directory NAME"`
	Groups      []config.Group `json:"groups,omitempty"`
	Settings    string         `json:"settings" doc:"what the groups allow, as the field's trace says it"`
	Policy      login.Policy   `json:"policy"`
	Account     login.Account  `json:"account"`
	Last        *login.Last    `json:"last,omitempty" doc:"the last login, with its stages"`
	Next        LoginNext      `json:"next"`
}

// LoginNext is what a login with the right password would come to now.
type LoginNext struct {
	Result string `json:"result" doc:"success, or why not"`
	Why    string `json:"why,omitempty"`
	Fix    string `json:"fix,omitempty"`
	// Directory is what the user's LDAP directory says, where it was asked.
	Directory string `json:"directory,omitempty"`
	Value     string `json:"value,omitempty" doc:"what a CTI manager answers"`
}

// LoginUser names a user.
type LoginUser struct {
	User string `json:"user" minLength:"1" maxLength:"128"`
}

type loginUserInput struct{ Body LoginUser }

func (i *loginUserInput) object() string { return i.Body.User }

// PasswordChange changes a password.
type PasswordChange struct {
	User     string `json:"user" minLength:"1" maxLength:"128"`
	Password string `json:"password" minLength:"1" maxLength:"256" doc:"the present one"`
	New      string `json:"newPassword" minLength:"1" maxLength:"256"`
}

type loginPasswordInput struct{ Body PasswordChange }

func (i *loginPasswordInput) object() string { return i.Body.User }

// LoginChanged is an account after a change.
type LoginChanged struct {
	Account login.Account `json:"account"`
	Policy  login.Policy  `json:"policy"`
}

type loginQuery struct {
	User string `query:"user" maxLength:"128"`
}

func (s *Server) loginOperations(api huma.API) {
	add(s, api, get("login-explain", "/v1/logins/explain", RoleOperator, "What is known of a user's logins, the stages of the last one, and what the next would come to"), s.explainLogin)
	add(s, api, operation{id: "login-unlock", method: http.MethodPost, path: "/v1/logins/unlock", role: RoleOperator, action: "unlock-login",
		summary: "Lift the lock of a user's account and forget its failed logins"}, s.unlockLogin)
	add(s, api, operation{id: "login-password", method: http.MethodPost, path: "/v1/logins/password", role: RoleOperator, action: "change-password",
		summary: "Give a user another password, on proof of the present one"}, s.changePassword)
}

// loginUser is the user and its account.
func (s *Server) loginUser(ctx context.Context, name string) (*directory.User, login.Account, error) {
	if s.cfg.Logins.Accounts == nil {
		return nil, login.Account{}, problem(CodeNotSupported, "this node knows of no logins")
	}
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, login.Account{}, err
	}
	u, ok := directory.Compile(snap.Revision.Number, snap.Site).User(name)
	if !ok {
		p := problem(bus.CodeNotFound, fmt.Sprintf("there is no user %s", name))
		p.Advice = "locktone config shows the users; names are compared letter by letter"
		return nil, login.Account{}, p
	}
	a, err := s.cfg.Logins.Accounts.Get(ctx, name)
	return u, a, err
}

func (s *Server) explainLogin(ctx context.Context, in *loginQuery) (*body[LoginExplained], error) {
	u, account, err := s.loginUser(ctx, in.User)
	if err != nil {
		return nil, err
	}
	out := LoginExplained{User: u.Name, DisplayName: u.DisplayName, Application: u.Application, Source: "configuration", Groups: slices.Clone(u.Groups),
		Settings: rights.SettingsOf(u).String(), Policy: login.Counted(u, account, s.cfg.Now()), Account: account}
	last, err := s.cfg.Logins.Accounts.Last(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	if !last.At.IsZero() {
		out.Last = &last
	}
	source := s.source(ctx, u)
	if source != nil {
		out.Source = "LDAP directory " + source.Name
		if source.Name == "" {
			out.Source = "LDAP, and no directory is configured"
		}
	}
	out.Next = s.nextLogin(u, account, source)
	return &body[LoginExplained]{out}, nil
}

// nextLogin is what a login with the right password would come to: what the policy says, then what the directory says.
func (s *Server) nextLogin(u *directory.User, account login.Account, source *rights.Source) (out LoginNext) {
	reason, why, fix := login.Standing(u, account, s.cfg.Now())
	if source != nil {
		out.Directory = source.Why
		if source.Reason == login.Success {
			out.Directory = "it has the user, who may log in there"
		}
		if (reason == login.ReasonNone || reason == login.AccountDisabled) && source.Reason != login.Success {
			reason, why, fix = source.Reason, source.Why, source.Fix
		}
	}
	if reason == login.ReasonNone {
		reason = login.Success
	}
	out.Result, out.Why, out.Fix = reason.String(), why, fix
	if reason != login.Success {
		out.Value = rights.ResultOf(reason).Error()
	}
	return out
}

// source asks the user's LDAP directory what it says of the user, without a password; nil for a user whose password is here.
func (s *Server) source(ctx context.Context, u *directory.User) *rights.Source {
	if u.Authentication != config.AuthenticateLDAP || s.cfg.LDAP.Set == nil {
		return nil
	}
	d, ok := s.cfg.LDAP.Set.For(u.User)
	if !ok {
		return &rights.Source{Reason: login.DirectoryRefused, Why: "no LDAP directory is configured for the user", Fix: "add it under ldapDirectories"}
	}
	account, p := d.Lookup(ctx, u.Name, nil)
	out := &rights.Source{Name: d.Name(), Reason: login.Success}
	switch {
	case p != nil:
		out.Reason, out.Why, out.Fix = login.ReasonOf(p.Reason), p.What, p.Fix
	case account.Disabled:
		out.Reason, out.Why, out.Fix = login.AccountDisabled, "the account "+account.DN+" is disabled", "enable it in the directory"
	case account.Locked:
		out.Reason, out.Why, out.Fix = login.AccountLocked, "the account "+account.DN+" is locked", "unlock it in the directory"
	case account.MustChange:
		out.Reason, out.Why, out.Fix = login.PasswordExpiredHard, "the password of "+account.DN+" must be changed before it can be used", "change it at a workstation of the domain"
	case !account.PasswordExpires.IsZero() && s.cfg.Now().After(account.PasswordExpires):
		out.Reason, out.Why, out.Fix = login.PasswordExpiredHard, "the password of "+account.DN+" has expired", "change it in the directory"
	}
	return out
}

func (s *Server) unlockLogin(ctx context.Context, in *loginUserInput) (*body[LoginChanged], error) {
	u, _, err := s.loginUser(ctx, in.Body.User)
	if err != nil {
		return nil, err
	}
	a, err := s.cfg.Logins.Accounts.Unlock(ctx, u.Name, u.Policy)
	if errors.Is(err, login.ErrNotLocked) {
		p := problem(bus.CodeConflict, fmt.Sprintf("the account of %s is not locked here, and has no failed logins", u.Name))
		p.Advice = "locktone login explain " + u.Name + " says what keeps the user out"
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	return &body[LoginChanged]{LoginChanged{Account: a, Policy: login.Counted(u, a, s.cfg.Now())}}, nil
}

func (s *Server) changePassword(ctx context.Context, in *loginPasswordInput) (*body[LoginChanged], error) {
	if s.cfg.Logins.Change == nil {
		return nil, problem(CodeNotSupported, "this node checks no logins: ask one that runs the CTI manager")
	}
	b := in.Body
	r, err := s.cfg.Logins.Change(ctx, login.Attempt{User: b.User, Password: secret.New(b.Password), From: who(ctx).source, Service: ServiceName}, secret.New(b.New), nil)
	switch {
	case errors.Is(err, login.ErrNotChanged) && r.Reason == login.WrongCredentials:
		return nil, problem(bus.CodeForbidden, "the password was not changed: user name or present password is wrong")
	case errors.Is(err, login.ErrNotChanged):
		return nil, problem(bus.CodeInvalid, err.Error())
	case err != nil:
		return nil, err
	}
	u, a, err := s.loginUser(ctx, b.User)
	if err != nil {
		return nil, err
	}
	return &body[LoginChanged]{LoginChanged{Account: a, Policy: login.Counted(u, a, s.cfg.Now())}}, nil
}
