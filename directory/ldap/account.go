package ldap

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// Account is what a directory says of a user.
type Account struct {
	DN          string   `json:"dn"`
	User        string   `json:"user"`
	DisplayName string   `json:"displayName,omitempty"`
	ID          string   `json:"id,omitempty"` // objectGUID as Microsoft writes it, or entryUUID
	Groups      []string `json:"groups,omitempty"`
	Disabled    bool     `json:"disabled,omitempty"`
	Locked      bool     `json:"locked,omitempty"`
	// Expires is when the account, PasswordExpires when the password does; zero: never, or not told.
	Expires         time.Time `json:"expires,omitzero"`
	PasswordExpires time.Time `json:"passwordExpires,omitzero"`
	MustChange      bool      `json:"mustChange,omitempty"`

	passwordSet time.Time // pwdLastSet, where the directory does not compute the expiry itself
}

// Bits of userAccountControl (Microsoft, "User-Account-Control attribute").
const (
	uacDisabled       = 0x2
	uacLockout        = 0x10
	uacNeverExpires   = 0x10000
	uacPasswordIsOver = 0x800000
)

// accountAttributes are what is asked of an entry. A directory leaves out those it does not know.
func (d *Directory) accountAttributes() []string {
	a := d.settings.Attributes
	return []string{a.User, a.DisplayName, a.ID, a.Groups, "cn", "userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", "lockoutTime",
		"pwdLastSet", "msDS-UserPasswordExpiryTimeComputed", "pwdAccountLockedTime", "pwdReset", "nsAccountLock"}
}

// account reads an entry.
func (d *Directory) account(e *goldap.Entry) Account {
	at := d.settings.Attributes
	get := e.GetEqualFoldAttributeValue
	a := Account{DN: e.DN, User: get(at.User), DisplayName: or(get(at.DisplayName), get("cn")), Groups: e.GetEqualFoldAttributeValues(at.Groups)}
	a.ID = identifier(e, at.ID)
	uac := number(get("userAccountControl"))
	computed := number(get("msDS-User-Account-Control-Computed"))
	a.Disabled = uac&uacDisabled != 0 || strings.EqualFold(get("nsAccountLock"), "true")
	a.Locked = computed&uacLockout != 0 || get("pwdAccountLockedTime") != "" || get("msDS-User-Account-Control-Computed") == "" && number(get("lockoutTime")) > 0
	a.Expires = fileTime(get("accountExpires"))
	a.MustChange = get("pwdLastSet") == "0" && uac&uacNeverExpires == 0 || strings.EqualFold(get("pwdReset"), "true")
	switch {
	case uac&uacNeverExpires != 0:
	case get("msDS-UserPasswordExpiryTimeComputed") != "":
		a.PasswordExpires = fileTime(get("msDS-UserPasswordExpiryTimeComputed"))
	default:
		a.passwordSet = fileTime(get("pwdLastSet"))
	}
	return a
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // what is not a number counts as 0, as if it were not there
	return n
}

// fileTime reads a time of Active Directory: 100 ns since 1601. 0 and the largest number are never.
func fileTime(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	const epoch = 116444736000000000 // 1970 in that count
	if err != nil || n <= 0 || n == 0x7fffffffffffffff || n/1e7 > 1<<38 {
		return time.Time{}
	}
	return time.Unix((n-epoch)/1e7, (n-epoch)%1e7*100).UTC()
}

// identifier reads the attribute that stays: objectGUID is 16 octets, of which the first three groups are in little-endian order
// (Microsoft, [MS-DTYP] 2.3.4.2), anything else is text.
func identifier(e *goldap.Entry, attribute string) string {
	b := e.GetEqualFoldRawAttributeValue(attribute)
	if !strings.EqualFold(attribute, "objectGUID") || len(b) != 16 {
		if printable(b) {
			return string(b)
		}
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", []byte{b[3], b[2], b[1], b[0]}, []byte{b[5], b[4]}, []byte{b[7], b[6]}, b[8:10], b[10:])
}

func printable(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c >= 0x7f })
}

func (a *Account) expired(now time.Time) bool { return !a.Expires.IsZero() && !now.Before(a.Expires) }

// days are the whole days left for the password.
func (a *Account) days(now time.Time) int {
	if a.PasswordExpires.IsZero() {
		return NoExpiry
	}
	return max(int(a.PasswordExpires.Sub(now)/(24*time.Hour)), 0)
}

// domainPolicy remembers how long passwords of an Active Directory domain are good.
type domainPolicy struct {
	mu     sync.Mutex
	maxAge time.Duration // 0: for ever
	read   time.Time
}

// policyLife is how long it is believed.
const policyLife = 10 * time.Minute

// expiry fills in when a password expires where the directory says when it was set, and not when it expires: the global catalogue, and
// servers before Windows Server 2008. A domain that cannot be read leaves it open.
func (d *Directory) expiry(ctx context.Context, c *connection, a *Account) {
	if a.passwordSet.IsZero() {
		return
	}
	d.policy.mu.Lock()
	age, known := d.policy.maxAge, !d.policy.read.IsZero() && d.now().Sub(d.policy.read) < policyLife
	d.policy.mu.Unlock()
	if !known {
		r, err := d.searchOnce(ctx, c, query{base: domainOf(d.settings.Base), filter: "(objectClass=*)", attributes: []string{"maxPwdAge"}})
		if err != nil || len(r.Entries) == 0 {
			return
		}
		if n := number(r.Entries[0].GetAttributeValue("maxPwdAge")); n < 0 && n > -0x7fffffffffffffff {
			age = time.Duration(-n) * 100
		}
		d.policy.mu.Lock()
		d.policy.maxAge, d.policy.read = age, d.now()
		d.policy.mu.Unlock()
	}
	if age > 0 {
		a.PasswordExpires = a.passwordSet.Add(age)
	}
}

// domainOf is the DN of the domain a DN is in: what it ends with in DC components.
func domainOf(dn string) string {
	p, err := goldap.ParseDN(dn)
	if err != nil {
		return dn
	}
	for i, rdn := range p.RDNs {
		if len(rdn.Attributes) == 1 && strings.EqualFold(rdn.Attributes[0].Type, "dc") {
			return (&goldap.DN{RDNs: p.RDNs[i:]}).String()
		}
	}
	return dn
}
