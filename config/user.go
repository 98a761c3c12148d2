package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// User is a person or an application.
type User struct {
	// Login name.
	Name string `yaml:"name" json:"name"`
	// Name for people.
	DisplayName string `yaml:"displayName" json:"displayName,omitempty"`
	// An application, not a person. It is shown as one; what it may do is said by its groups and devices.
	Application bool `yaml:"application" json:"application,omitempty"`
	// Who knows the password: the user below, or an LDAP directory, which is asked at every login.
	Authentication Authentication `yaml:"authentication" json:"authentication,omitempty"`
	// LDAP directory that knows the user, with authentication ldap. Left out: the only one there is.
	LDAPDirectory string `yaml:"ldapDirectory" json:"ldapDirectory,omitempty"`
	// What the directory calls the user for good (objectGUID, entryUUID): set by the synchronisation for users it has made, which
	// changes, disables and removes these alone.
	LDAPID string `yaml:"ldapID" json:"ldapID,omitempty"`
	// The synchronisation has disabled the user, and enables it again when the directory does.
	LDAPDisabled bool `yaml:"ldapDisabled" json:"ldapDisabled,omitempty"`
	// Password, or what `locktone hash` made of it. It is hashed while the file is read (argon2id) and kept in no other form.
	// Left out: no login by a password of this file. The API takes tokens.
	Password Verifier `yaml:"password" json:"password,omitzero"`
	// Digest credential of the user's devices: the password they show, or what
	// `locktone hash --digest` made of it. It is kept as the hash of user, realm and password (RFC 8760). Left out: digest never succeeds.
	DigestCredential DigestVerifier `yaml:"digestCredential" json:"digestCredential,omitzero"`
	// What the user may do in administration. Takes effect with the web pages; tokens have roles of their own. Left out: nothing.
	Roles []Role `yaml:"roles" json:"roles,omitempty"`
	// Devices associated with the user: those it may control through CTI, as its groups allow.
	Devices []string `yaml:"devices" json:"devices,omitempty"`
	// Access control groups: what the user may do through CTI. standard-cti-enabled is needed for anything. Those that go beyond the
	// control of associated devices are listed by `locktone show exceptions`. Left out: no CTI.
	Groups []Group `yaml:"groups" json:"groups,omitempty"`
	// Credential policy: lock-out, expiry and shape of the user's password. Left out: the one named default, where there is one,
	// else the defaults of every field.
	CredentialPolicy string `yaml:"credentialPolicy" json:"credentialPolicy,omitempty"`
	// The password is good for one purpose only: to change it. It ends with the change. With local authentication.
	MustChangePassword bool `yaml:"mustChangePassword" json:"mustChangePassword,omitempty"`
	// The user may not change the password; an administrator can. With local authentication.
	CannotChangePassword bool `yaml:"cannotChangePassword" json:"cannotChangePassword,omitempty"`
	// The password does not expire, whatever the policy says: by custom for applications.
	PasswordDoesNotExpire bool `yaml:"passwordDoesNotExpire" json:"passwordDoesNotExpire,omitempty"`
	// The user cannot log in and digest fails.
	Disabled bool `yaml:"disabled" json:"disabled,omitempty"`
}

// CredentialPolicy says how passwords are protected: lock-out after failed logins, expiry, shape. For users with authentication ldap
// the directory has a policy of its own, and lock-out here protects it from being flooded by guesses.
type CredentialPolicy struct {
	// Name of the policy. The one named default serves every user that names none.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Failed logins after which the account is locked, 1 to 100. Default: 3.
	FailedLogins int `yaml:"failedLogins" json:"failedLogins,omitempty"`
	// No lock-out, however often a login fails: passwords can be guessed for as long as it takes. Listed by `locktone show exceptions`.
	UnlimitedFailedLogins bool `yaml:"unlimitedFailedLogins" json:"unlimitedFailedLogins,omitempty"`
	// Time without a failed login after which they are counted from zero again, 1m to 24h. Default: 30m.
	ResetFailedLoginsAfter Duration `yaml:"resetFailedLoginsAfter" json:"resetFailedLoginsAfter,omitempty"`
	// How long a locked account stays locked, 1m to 24h. Default: 30m.
	LockOutDuration Duration `yaml:"lockOutDuration" json:"lockOutDuration,omitempty"`
	// A locked account stays locked until an administrator unlocks it (`locktone login unlock`).
	AdministratorMustUnlock bool `yaml:"administratorMustUnlock" json:"administratorMustUnlock,omitempty"`
	// Days after which a password expires, 1 to 3650. Left out: never.
	ExpiresAfterDays int `yaml:"expiresAfterDays" json:"expiresAfterDays,omitempty"`
	// Days before the expiry from which on applications are told how many are left, 1 to 90. Default: 14.
	WarningDays int `yaml:"warningDays" json:"warningDays,omitempty"`
	// Days without a login after which the account is locked until an administrator unlocks it, 1 to 3650. Left out: no such lock.
	InactiveDays int `yaml:"inactiveDays" json:"inactiveDays,omitempty"`
	// Fewest characters of a new password, 8 to 64. Default: 8.
	MinimumLength int `yaml:"minimumLength" json:"minimumLength,omitempty"`
	// Take passwords that are easily guessed: the name of the user in them, one character repeated, runs as 12345678 or abcdefgh. Listed by
	// `locktone show exceptions`.
	AllowTrivialPasswords bool `yaml:"allowTrivialPasswords" json:"allowTrivialPasswords,omitempty"`
	// Earlier passwords that a new one must differ from, 1 to 25. Left out: it must differ from the current one alone.
	PreviousPasswords int `yaml:"previousPasswords" json:"previousPasswords,omitempty"`
	// Least time between two changes of a password by its user, up to 30 days (720h). Left out: none.
	MinimumChangeInterval Duration `yaml:"minimumChangeInterval" json:"minimumChangeInterval,omitempty"`
	// For how long, while the LDAP directory does not answer, who logged in there successfully is let in with the same password, up to
	// 168h; never an account last seen disabled or locked. Left out: not at all. Listed by `locktone show exceptions`.
	DirectoryGrace Duration `yaml:"directoryGrace" json:"directoryGrace,omitempty"`
}

// WithDefaults returns the policy with every default filled in.
func (p CredentialPolicy) WithDefaults() CredentialPolicy {
	p.FailedLogins = cmp.Or(p.FailedLogins, 3)
	p.ResetFailedLoginsAfter = cmp.Or(p.ResetFailedLoginsAfter, Duration(30*time.Minute))
	p.LockOutDuration = cmp.Or(p.LockOutDuration, Duration(30*time.Minute))
	p.WarningDays = cmp.Or(p.WarningDays, 14)
	p.MinimumLength = cmp.Or(p.MinimumLength, MinPassword)
	return p
}

// Kind implements Entity.
func (CredentialPolicy) Kind() Kind { return KindCredentialPolicy }

// Key is the name.
func (e CredentialPolicy) Key() string { return e.Name }

// Group is an access control group: a set of permissions by the name the field gives it.
type Group uint8

// Values of Group; the first is none.
const (
	GroupNone Group = iota
	GroupCTIEnabled
	GroupCTISecureConnection
	GroupCTISRTPKeys
	GroupCTIAllDevices
	GroupCTICallMonitoring
	GroupCTICallRecording
	GroupCTICallPark
	GroupCTICallingNumber
	GroupCTIConnectedTransfer
	GroupCTIRollover
)

// Values lists the spellings of Group.
func (Group) Values() []string {
	return []string{"none", "standard-cti-enabled", "standard-cti-secure-connection", "standard-cti-allow-reception-of-srtp-key-material",
		"standard-cti-allow-control-of-all-devices", "standard-cti-allow-call-monitoring", "standard-cti-allow-call-recording",
		"standard-cti-allow-call-park-monitoring", "standard-cti-allow-calling-number-modification",
		"standard-cti-allow-control-of-phones-supporting-connected-xfer-and-conf", "standard-cti-allow-control-of-phones-supporting-rollover-mode"}
}

func (g Group) String() string { return enumString(g, g.Values()) }

// MarshalText writes the value as a site file spells it.
func (g Group) MarshalText() ([]byte, error) { return enumText(g, g.Values()) }

// UnmarshalText reads one of Values.
func (g *Group) UnmarshalText(b []byte) error { return enumParse(g, g.Values(), b) }

// Authentication says who knows a user's password.
type Authentication uint8

// Values of Authentication; the first is the default.
const (
	AuthenticateLocal Authentication = iota
	AuthenticateLDAP
)

// Values lists the spellings of Authentication.
func (Authentication) Values() []string { return []string{"local", "ldap"} }

func (a Authentication) String() string { return enumString(a, a.Values()) }

// MarshalText writes the value as a site file spells it.
func (a Authentication) MarshalText() ([]byte, error) { return enumText(a, a.Values()) }

// UnmarshalText reads one of Values.
func (a *Authentication) UnmarshalText(b []byte) error { return enumParse(a, a.Values(), b) }

// CTIControl says whether applications may control a device, or a line on it. The default is the harmless one nevertheless: an
// application controls nothing that it is not given by its groups and devices.
type CTIControl uint8

// Values of CTIControl; the first is the default.
const (
	CTIControlAllowed CTIControl = iota
	CTIControlRefused
)

// Values lists the spellings of CTIControl.
func (CTIControl) Values() []string { return []string{"yes", "no"} }

func (x CTIControl) String() string { return enumString(x, x.Values()) }

// MarshalText writes the value as a site file spells it.
func (x CTIControl) MarshalText() ([]byte, error) { return enumText(x, x.Values()) }

// UnmarshalText reads one of Values.
func (x *CTIControl) UnmarshalText(b []byte) error { return enumParse(x, x.Values(), b) }

func (c *checker) users() {
	eachOf(c, "users", c.site.Users, func(u User) string { return u.Name }, func(path string, u User) {
		c.refs(path+".devices", KindDevice, u.Devices, false)
		c.ref(path+".credentialPolicy", KindCredentialPolicy, u.CredentialPolicy, false)
		c.groups(path, u)
		c.passwordRules(path, u)
		for i, r := range u.Roles {
			if r == RoleNone {
				c.at(fmt.Sprintf("%s.roles[%d]", path, i), "none is not a role", "expected one of "+listOf(r.Values()[1:]))
			}
		}
	})
}

// groups refuses what is no group, what stands twice and what can have no effect.
func (c *checker) groups(path string, u User) {
	for i, g := range u.Groups {
		sub := fmt.Sprintf("%s.groups[%d]", path, i)
		switch {
		case g == GroupNone:
			c.at(sub, "none is not a group", "expected one of "+listOf(g.Values()[1:]))
		case slices.Contains(u.Groups[:i], g):
			c.at(sub, fmt.Sprintf("%q stands twice in the list", g), "remove one")
		}
	}
	if slices.Contains(u.Groups, GroupCTISRTPKeys) && len(u.Devices) == 0 && !slices.Contains(u.Groups, GroupCTIAllDevices) {
		c.at(path+".groups", fmt.Sprintf("%s has no devices whose keys it could receive", GroupCTISRTPKeys), "list them under devices, or remove the group")
	}
}

// passwordRules refuses what contradicts itself about a user's password.
func (c *checker) passwordRules(path string, u User) {
	local := map[string]bool{"password": !u.Password.IsZero(), "mustChangePassword": u.MustChangePassword, "cannotChangePassword": u.CannotChangePassword,
		"passwordDoesNotExpire": u.PasswordDoesNotExpire}
	if u.Authentication == AuthenticateLDAP {
		for _, f := range []string{"password", "mustChangePassword", "cannotChangePassword", "passwordDoesNotExpire"} {
			if local[f] {
				c.at(path+"."+f, "has no effect with authentication ldap", "remove it, or say authentication: local")
			}
		}
		return
	}
	if u.MustChangePassword && u.CannotChangePassword {
		c.at(path+".mustChangePassword", "the user may not change it", "remove mustChangePassword or cannotChangePassword")
	}
}

func (c *checker) credentialPolicies() {
	eachOf(c, "credentialPolicies", c.site.CredentialPolicies, func(p CredentialPolicy) string { return p.Name }, func(path string, p CredentialPolicy) {
		c.within(path+".failedLogins", p.FailedLogins, 1, 100)
		c.between(path+".resetFailedLoginsAfter", p.ResetFailedLoginsAfter, time.Minute, 24*time.Hour)
		c.between(path+".lockOutDuration", p.LockOutDuration, time.Minute, 24*time.Hour)
		c.within(path+".expiresAfterDays", p.ExpiresAfterDays, 1, 3650)
		c.within(path+".warningDays", p.WarningDays, 1, 90)
		c.within(path+".inactiveDays", p.InactiveDays, 1, 3650)
		c.within(path+".minimumLength", p.MinimumLength, MinPassword, 64)
		c.within(path+".previousPasswords", p.PreviousPasswords, 1, 25)
		c.between(path+".minimumChangeInterval", p.MinimumChangeInterval, time.Minute, 720*time.Hour)
		c.between(path+".directoryGrace", p.DirectoryGrace, time.Minute, 168*time.Hour)
		c.policyContradictions(path, p)
	})
}

// policyContradictions refuses settings of a policy that another one makes void.
func (c *checker) policyContradictions(path string, p CredentialPolicy) {
	void := []string{}
	if p.UnlimitedFailedLogins {
		for _, f := range []struct {
			name string
			set  bool
		}{{"failedLogins", p.FailedLogins != 0}, {"resetFailedLoginsAfter", p.ResetFailedLoginsAfter != 0}, {"lockOutDuration", p.LockOutDuration != 0},
			{"administratorMustUnlock", p.AdministratorMustUnlock}} {
			if f.set {
				void = append(void, f.name)
			}
		}
	}
	if len(void) > 0 {
		c.at(path+".unlimitedFailedLogins", "leaves "+strings.Join(void, ", ")+" without effect", "remove one or the other")
	}
	if p.AdministratorMustUnlock && p.LockOutDuration != 0 {
		c.at(path+".lockOutDuration", "has no effect with administratorMustUnlock", "remove one of the two")
	}
	if p.WarningDays != 0 && p.ExpiresAfterDays == 0 {
		c.at(path+".warningDays", "has no effect without expiresAfterDays", "set it as well, or remove warningDays")
	}
	if d := p.WithDefaults(); p.WarningDays != 0 && p.ExpiresAfterDays != 0 && d.WarningDays > d.ExpiresAfterDays {
		c.at(path+".warningDays", fmt.Sprintf("%d is more than expiresAfterDays (%d)", d.WarningDays, d.ExpiresAfterDays), "expected at most as many")
	}
}
