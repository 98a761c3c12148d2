package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LDAPDirectory is a directory that knows users and their passwords: Active Directory, OpenLDAP.
type LDAPDirectory struct {
	// Name of the directory.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Servers with the same content, asked in this order: the next when one does not answer.
	Servers []LDAPServer `yaml:"servers" json:"servers"`
	// How connections are protected. LDAPS: TLS from the first octet. StartTLS: TLS after a first request in clear that carries nothing.
	// Clear, the exception ldap-clear of `locktone show exceptions`: names and passwords travel readable. The servers' certificates are
	// verified under the cluster's own authority and those uploaded for directory-trust.
	Transport LDAPTransport `yaml:"transport" json:"transport,omitempty"`
	// Ask the global catalogue of an Active Directory forest: the default port is 3269 then, or 3268 in clear and with StartTLS.
	GlobalCatalogue bool `yaml:"globalCatalogue" json:"globalCatalogue,omitempty"`
	// DN of the part of the directory where users are: OU=People,DC=corp,DC=test.
	Base string `yaml:"base" json:"base"`
	// Who searches: a DN, or with Active Directory also name@domain. Left out: nobody, where the directory allows that.
	BindDN string `yaml:"bindDN" json:"bindDN,omitempty"`
	// Password of it. It is kept in the record, apart from everything that is shown, as it is: it has to be sent: the
	// exception ldap-bind-password of `locktone show exceptions`. A file keeps it out of the record.
	BindPassword Password `yaml:"bindPassword" json:"bindPassword,omitzero"`
	// File with the password, of mode 0600, on every node; a relative path begins at the home folder. It is read at every connection.
	BindPasswordFile string `yaml:"bindPasswordFile" json:"bindPasswordFile,omitempty"`
	// Filter that finds a user (RFC 4515); {user} stands for the name, which is escaped. Default: users of Active Directory that are not
	// disabled: (&(&(objectclass=user)(!(objectclass=Computer))(!(UserAccountControl:1.2.840.113556.1.4.803:=2)))(sAMAccountName={user})).
	Filter string `yaml:"filter" json:"filter,omitempty"`
	// Which attributes say what.
	Attributes LDAPAttributes `yaml:"attributes" json:"attributes,omitzero"`
	// How long a server may take for each of: connecting, TLS, a bind. 1s to 30s. Default: 5s.
	NetworkTimeout Duration `yaml:"networkTimeout" json:"networkTimeout,omitempty"`
	// How long a search may take. 1s to 2m. Default: 10s.
	SearchTimeLimit Duration `yaml:"searchTimeLimit" json:"searchTimeLimit,omitempty"`
	// Connections of the service kept for searches, per node, 1 to 64. Default: 4.
	Connections int `yaml:"connections" json:"connections,omitempty"`
	// Hosts that referrals may lead to besides the servers; the bind DN and its password are sent there. Others are not followed.
	ReferralHosts []string `yaml:"referralHosts" json:"referralHosts,omitempty"`
	// Bringing the directory's users into the site.
	Sync LDAPSync `yaml:"sync" json:"sync,omitzero"`
	// Access control groups that users have by groups of the directory. They are given and taken at each synchronisation.
	Groups []LDAPGroup `yaml:"groups" json:"groups,omitempty"`
}

// LDAPServer is one server of a directory.
type LDAPServer struct {
	// Host name as the server's certificate has it, or IP address.
	Host string `yaml:"host" json:"host"`
	// Port. Default: 636 with LDAPS, else 389; of a global catalogue 3269 or 3268.
	Port int `yaml:"port" json:"port,omitempty"`
}

// LDAPAttributes name the attributes of a user's entry.
type LDAPAttributes struct {
	// Login name. Default: sAMAccountName.
	User string `yaml:"user" json:"user,omitempty"`
	// Name for people. Default: displayName; where an entry has none, its cn.
	DisplayName string `yaml:"displayName" json:"displayName,omitempty"`
	// Identifier that stays when somebody is renamed. Default: objectGUID; OpenLDAP has entryUUID.
	ID string `yaml:"id" json:"id,omitempty"`
	// DNs of the groups an entry is in. Default: memberOf.
	Groups string `yaml:"groups" json:"groups,omitempty"`
}

// LDAPSync says whether and how the directory's users become users of the site. Users that an operator has made are never changed or
// removed by it.
type LDAPSync struct {
	// Time between two synchronisations, 5m to 168h. Left out: none by itself; `locktone ldap sync` does one.
	Interval Duration `yaml:"interval" json:"interval,omitempty"`
	// Filter that finds the users to bring. Default: that of logins, for every name.
	Filter string `yaml:"filter" json:"filter,omitempty"`
	// Entries asked for at a time, 10 to 5000. Default: 500.
	PageSize int `yaml:"pageSize" json:"pageSize,omitempty"`
	// Most users taken, 1 to 100000; a directory with more is refused as a whole. Default: 20000.
	MaxUsers int `yaml:"maxUsers" json:"maxUsers,omitempty"`
	// What becomes of a user whom the directory no longer has. Disable: the user stays and cannot log in. Remove: it goes.
	Missing LDAPMissing `yaml:"missing" json:"missing,omitempty"`
	// Most users in percent that one synchronisation may disable or remove, 1 to 100: when it would be more, nothing is changed and an
	// operator has to look (locktone ldap sync --force). Default: 20.
	MaxLossPercent int `yaml:"maxLossPercent" json:"maxLossPercent,omitempty"`
	// Credential policy that new users get. Left out: the default one.
	CredentialPolicy string `yaml:"credentialPolicy" json:"credentialPolicy,omitempty"`
}

// LDAPGroup maps one group of the directory.
type LDAPGroup struct {
	// DN of the group. Members of groups in it count where the directory says so in the attribute groups.
	DN string `yaml:"dn" json:"dn"`
	// Access control groups its members have.
	Groups []Group `yaml:"groups" json:"groups"`
}

// DefaultLDAPFilter is the filter of logins where a directory has none of its own.
const DefaultLDAPFilter = "(&(&(objectclass=user)(!(objectclass=Computer))(!(UserAccountControl:1.2.840.113556.1.4.803:=2)))(sAMAccountName={user}))"

// Kind implements Entity.
func (LDAPDirectory) Kind() Kind { return KindLDAPDirectory }

// Key is the name.
func (e LDAPDirectory) Key() string { return e.Name }

// WithDefaults returns the directory with every default filled in.
func (e LDAPDirectory) WithDefaults() LDAPDirectory {
	e.Servers = slices.Clone(e.Servers)
	for i := range e.Servers {
		e.Servers[i].Port = cmp.Or(e.Servers[i].Port, e.Transport.Port(e.GlobalCatalogue))
	}
	a := &e.Attributes
	a.User, a.DisplayName = cmp.Or(a.User, "sAMAccountName"), cmp.Or(a.DisplayName, "displayName")
	a.ID, a.Groups = cmp.Or(a.ID, "objectGUID"), cmp.Or(a.Groups, "memberOf")
	e.Filter = cmp.Or(e.Filter, DefaultLDAPFilter)
	e.NetworkTimeout = cmp.Or(e.NetworkTimeout, Duration(5*time.Second))
	e.SearchTimeLimit = cmp.Or(e.SearchTimeLimit, Duration(10*time.Second))
	e.Connections = cmp.Or(e.Connections, 4)
	e.Sync.Filter = cmp.Or(e.Sync.Filter, e.Filter)
	e.Sync.PageSize, e.Sync.MaxUsers = cmp.Or(e.Sync.PageSize, 500), cmp.Or(e.Sync.MaxUsers, 20000)
	e.Sync.MaxLossPercent = cmp.Or(e.Sync.MaxLossPercent, 20)
	return e
}

// LDAPTransport says how connections to a directory are protected.
type LDAPTransport uint8

// Values of LDAPTransport; the first is the default.
const (
	LDAPS LDAPTransport = iota
	LDAPStartTLS
	LDAPClear
)

// Values lists the spellings of LDAPTransport.
func (LDAPTransport) Values() []string { return []string{"ldaps", "starttls", "clear"} }

func (t LDAPTransport) String() string { return enumString(t, t.Values()) }

// MarshalText writes the value as a site file spells it.
func (t LDAPTransport) MarshalText() ([]byte, error) { return enumText(t, t.Values()) }

// UnmarshalText reads one of Values.
func (t *LDAPTransport) UnmarshalText(b []byte) error { return enumParse(t, t.Values(), b) }

// Port is the port a directory has by custom with this transport.
func (t LDAPTransport) Port(globalCatalogue bool) int {
	switch {
	case t == LDAPS && globalCatalogue:
		return 3269
	case t == LDAPS:
		return 636
	case globalCatalogue:
		return 3268
	}
	return 389
}

// LDAPMissing says what becomes of users the directory no longer has.
type LDAPMissing uint8

// Values of LDAPMissing; the first is the default.
const (
	MissingDisable LDAPMissing = iota
	MissingRemove
)

// Values lists the spellings of LDAPMissing.
func (LDAPMissing) Values() []string { return []string{"disable", "remove"} }

func (m LDAPMissing) String() string { return enumString(m, m.Values()) }

// MarshalText writes the value as a site file spells it.
func (m LDAPMissing) MarshalText() ([]byte, error) { return enumText(m, m.Values()) }

// UnmarshalText reads one of Values.
func (m *LDAPMissing) UnmarshalText(b []byte) error { return enumParse(m, m.Values(), b) }

// Password is one that has to be sent, and so cannot be kept as a hash. It prints as "[redacted]". The zero value is none.
type Password struct{ text string }

// NewPassword wraps a password.
func NewPassword(text string) Password { return Password{text} }

// IsZero reports whether there is no password.
func (p Password) IsZero() bool { return p.text == "" }

// Reveal returns the password, for the store and for sending it. It goes nowhere else.
func (p Password) Reveal() string { return p.text }

func (p Password) String() string { return redact(p.text) }

// GoString keeps %#v from printing the password.
func (p Password) GoString() string { return redact(p.text) }

// LogValue keeps slog from printing the password.
func (p Password) LogValue() slog.Value { return slog.StringValue(redact(p.text)) }

// MarshalText writes "[redacted]": documents never carry the password.
func (p Password) MarshalText() ([]byte, error) { return []byte(redact(p.text)), nil }

// MarshalJSON does the same.
func (p Password) MarshalJSON() ([]byte, error) { return json.Marshal(redact(p.text)) }

// UnmarshalText reads a password; "[redacted]" and nothing read as none.
func (p *Password) UnmarshalText(b []byte) error {
	if s := string(b); s != Redacted {
		p.text = s
	}
	return nil
}

// ldapPasswords takes the passwords of the file; one that is redacted is the current site's.
func (d *decoder) ldapPasswords(s, current *Site) {
	known := map[string]Password{}
	if current != nil {
		for _, x := range current.LDAPDirectories {
			known[x.Name] = x.BindPassword
		}
	}
	for i := range s.LDAPDirectories {
		x, path := &s.LDAPDirectories[i], fmt.Sprintf("ldapDirectories[%d].bindPassword", i)
		switch plain, ok := d.plain[path]; {
		case !ok:
		case plain == Redacted && known[x.Name].IsZero():
			d.fail(path, "the password is redacted and no earlier one is known", "give the password, or bindPasswordFile")
		case plain == Redacted:
			x.BindPassword = known[x.Name]
		default:
			x.BindPassword = Password{plain}
		}
	}
}

func (c *checker) ldapDirectories() {
	eachOf(c, "ldapDirectories", c.site.LDAPDirectories, func(e LDAPDirectory) string { return e.Name }, func(path string, e LDAPDirectory) {
		c.ldapServers(path, e)
		c.dn(path+".base", e.Base, true)
		c.ldapBind(path, e)
		c.ldapFilter(path+".filter", e.Filter, true)
		c.ldapFilter(path+".sync.filter", e.Sync.Filter, false)
		c.attribute(path+".attributes.user", e.Attributes.User)
		c.attribute(path+".attributes.displayName", e.Attributes.DisplayName)
		c.attribute(path+".attributes.id", e.Attributes.ID)
		c.attribute(path+".attributes.groups", e.Attributes.Groups)
		c.between(path+".networkTimeout", e.NetworkTimeout, time.Second, 30*time.Second)
		c.between(path+".searchTimeLimit", e.SearchTimeLimit, time.Second, 2*time.Minute)
		c.within(path+".connections", e.Connections, 1, 64)
		for i, h := range e.ReferralHosts {
			c.address(fmt.Sprintf("%s.referralHosts[%d]", path, i), h, true)
		}
		c.between(path+".sync.interval", e.Sync.Interval, 5*time.Minute, 168*time.Hour)
		c.within(path+".sync.pageSize", e.Sync.PageSize, 10, 5000)
		c.within(path+".sync.maxUsers", e.Sync.MaxUsers, 1, 100000)
		c.within(path+".sync.maxLossPercent", e.Sync.MaxLossPercent, 1, 100)
		c.ref(path+".sync.credentialPolicy", KindCredentialPolicy, e.Sync.CredentialPolicy, false)
		c.ldapGroups(path, e)
	})
	c.ldapUsers()
}

func (c *checker) ldapServers(path string, e LDAPDirectory) {
	switch {
	case len(e.Servers) == 0:
		c.at(path+".servers", "is empty", "expected at least one host")
	case len(e.Servers) > 8:
		c.at(path+".servers", fmt.Sprintf("%d servers", len(e.Servers)), "expected at most 8")
	}
	seen := map[string]bool{}
	for i, s := range e.WithDefaults().Servers {
		sub := fmt.Sprintf("%s.servers[%d]", path, i)
		c.address(sub+".host", s.Host, true)
		c.port(sub+".port", s.Port)
		key := fmt.Sprintf("%s:%d", strings.ToLower(s.Host), s.Port)
		if seen[key] && s.Host != "" {
			c.at(sub, key+" stands twice in the list", "remove one")
		}
		seen[key] = true
		switch secure := s.Port == 636 || s.Port == 3269; {
		case secure && e.Transport != LDAPS:
			c.at(sub+".port", fmt.Sprintf("port %d speaks TLS from the first octet, transport is %s", s.Port, e.Transport), "expected transport: ldaps, or port 389 or 3268")
		case (s.Port == 389 || s.Port == 3268) && e.Transport == LDAPS:
			c.at(sub+".port", fmt.Sprintf("port %d does not speak TLS from the first octet", s.Port), "expected 636 or 3269, or transport: starttls")
		}
	}
}

func (c *checker) ldapBind(path string, e LDAPDirectory) {
	given := !e.BindPassword.IsZero() || e.BindPasswordFile != ""
	switch {
	case !e.BindPassword.IsZero() && e.BindPasswordFile != "":
		c.at(path+".bindPasswordFile", "the password is given twice", "remove bindPassword or bindPasswordFile")
	case e.BindDN != "" && !given:
		c.at(path+".bindPassword", "is missing", "expected the password of bindDN, or bindPasswordFile; a bind without one is a bind as nobody")
	case e.BindDN == "" && given:
		c.at(path+".bindDN", "is missing", "expected whose password it is")
	}
	if e.BindDN != "" && !strings.ContainsAny(e.BindDN, `@\`) {
		c.dn(path+".bindDN", e.BindDN, true)
	}
}

// dnShape is one relative DN: a type by name or number, and a value (RFC 4514, 3).
var (
	dnShape        = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)\s*=.+$`)
	attributeShape = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$`)
)

func (c *checker) attribute(path, v string) {
	if v != "" && !attributeShape.MatchString(v) {
		c.at(path, fmt.Sprintf("%q is not the name of an attribute", v), "expected for instance sAMAccountName or uid")
	}
}

func (c *checker) dn(path, v string, required bool) {
	if v == "" {
		if required {
			c.at(path, "is missing", "expected a DN such as OU=People,DC=corp,DC=test")
		}
		return
	}
	for _, part := range splitDN(v) {
		for _, piece := range splitUnescaped(part, '+') {
			if !dnShape.MatchString(piece) {
				c.at(path, fmt.Sprintf("%q is not a DN: %q has no type and value", v, piece), `expected for instance OU=People,DC=corp,DC=test; a comma in a name is written \,`)
				return
			}
		}
	}
}

func splitDN(s string) []string { return splitUnescaped(s, ',') }

// splitUnescaped splits at a separator before which no backslash stands.
func splitUnescaped(s string, sep byte) (out []string) {
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

// ldapFilter refuses what cannot be a filter; the directory has the last word (locktone ldap check).
func (c *checker) ldapFilter(path, f string, user bool) {
	if f == "" {
		return
	}
	depth := 0
	for i := 0; i < len(f) && depth >= 0; i++ {
		switch f[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	switch {
	case !strings.HasPrefix(f, "(") || !strings.HasSuffix(f, ")"):
		c.at(path, fmt.Sprintf("%q is not in parentheses", f), "expected for instance (&(objectClass=person)(uid={user}))")
	case depth > 0:
		c.at(path, fmt.Sprintf("%d closing parentheses are missing", depth), "expected as many ) as (")
	case depth < 0:
		c.at(path, "a closing parenthesis is too many", "expected as many ) as (")
	case user && !strings.Contains(f, "={user}"):
		c.at(path, "finds the same for everybody: {user} does not stand in it as a value", "expected for instance (uid={user})")
	}
}

func (c *checker) ldapGroups(path string, e LDAPDirectory) {
	seen := map[string]bool{}
	for i, g := range e.Groups {
		sub := fmt.Sprintf("%s.groups[%d]", path, i)
		c.dn(sub+".dn", g.DN, true)
		if key := strings.ToLower(g.DN); seen[key] && key != "" {
			c.at(sub+".dn", fmt.Sprintf("%q stands twice in the list", g.DN), "put its groups into one")
		}
		seen[strings.ToLower(g.DN)] = true
		if len(g.Groups) == 0 {
			c.at(sub+".groups", "is empty", "expected at least one access control group")
		}
		for j, x := range g.Groups {
			if x == GroupNone {
				c.at(fmt.Sprintf("%s.groups[%d]", sub, j), "none is not a group", "expected one of "+listOf(x.Values()[1:]))
			}
		}
	}
}

// ldapUsers: who is asked for a user's password must be certain.
func (c *checker) ldapUsers() {
	for i, u := range c.site.Users {
		path := fmt.Sprintf("users[%d]", i)
		c.ref(path+".ldapDirectory", KindLDAPDirectory, u.LDAPDirectory, false)
		switch n := len(c.site.LDAPDirectories); {
		case u.Authentication != AuthenticateLDAP && (u.LDAPDirectory != "" || u.LDAPID != ""):
			c.at(path+".ldapDirectory", "has no effect with authentication local", "say authentication: ldap, or remove ldapDirectory and ldapID")
		case u.Authentication == AuthenticateLDAP && n == 0 && u.LDAPDirectory == "":
			c.at(path+".authentication", "no LDAP directory is there that could know the password", "add one under ldapDirectories, or say authentication: local")
		case u.Authentication == AuthenticateLDAP && n > 1 && u.LDAPDirectory == "":
			c.at(path+".ldapDirectory", "is missing, and there are several", "expected the name of the directory that knows the user"+c.known(KindLDAPDirectory))
		}
	}
}

// IsName reports whether an entity can have that name.
func IsName(s string) bool { return nameShape.MatchString(s) && !strings.HasSuffix(s, " ") }

// LDAPFor is the directory that knows a user's password: the one the user names, or the only one there is.
func (s *Site) LDAPFor(u User) (LDAPDirectory, bool) {
	for _, e := range s.LDAPDirectories {
		if e.Name == u.LDAPDirectory || u.LDAPDirectory == "" && len(s.LDAPDirectories) == 1 {
			return e.WithDefaults(), u.Authentication == AuthenticateLDAP
		}
	}
	return LDAPDirectory{}, false
}
