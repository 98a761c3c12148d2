package ldap

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/config"
)

// Users are all accounts that the filter of synchronisation finds, page by page, by name.
func (d *Directory) Users(ctx context.Context) (out []Account, p *Problem) {
	p = d.withService(ctx, func(string) {}, func(_ *server, c *connection) (p *Problem) {
		out, p = d.users(ctx, c)
		return p
	})
	slices.SortFunc(out, func(a, b Account) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.User), strings.ToLower(b.User)), cmp.Compare(a.DN, b.DN))
	})
	return out, p
}

func (d *Directory) users(ctx context.Context, c *connection) (out []Account, p *Problem) {
	s := d.settings.Sync
	q := query{base: d.settings.Base, filter: FilterForAll(s.Filter), attributes: d.accountAttributes(), subtree: true}
	control := goldap.NewControlPaging(uint32(s.PageSize))
	for {
		r, err := d.page(ctx, c, q, control)
		if err != nil {
			if code, answered := resultCode(err); answered {
				return nil, resultProblem(c.at.url(), "the search for users under "+q.base, code, err, d.settings.BindDN == "")
			}
			return nil, d.searchFailed(ctx, c, q, err)
		}
		for _, e := range r.Entries {
			out = append(out, d.account(e))
		}
		if len(out) > s.MaxUsers {
			return nil, &Problem{Reason: SizeLimit, Server: c.at.url(), What: fmt.Sprintf("the filter finds more than %d users", s.MaxUsers), Fix: "narrow base or sync.filter, or raise sync.maxUsers"}
		}
		cookie, pages := nextPage(r)
		if !pages || len(cookie) == 0 {
			return out, nil
		}
		control.SetCookie(cookie)
	}
}

// UserChange is what a synchronisation does to one user.
type UserChange struct {
	User string `json:"user"`
	Op   string `json:"op"` // add, change, rename, disable, enable, remove, skip
	Why  string `json:"why,omitempty"`
}

// SyncReport says what a synchronisation did, or would do.
type SyncReport struct {
	Directory string       `json:"directory"`
	DryRun    bool         `json:"dryRun,omitempty"`
	Seen      int          `json:"seen"`    // users in the directory
	Known     int          `json:"known"`   // users of the site that came from it
	Changes   []UserChange `json:"changes"` // by name
	// Refused says why nothing was changed though there was something to change.
	Refused  string   `json:"refused,omitempty"`
	Revision int64    `json:"revision,omitempty"` // of the configuration with the changes
	Problem  *Problem `json:"problem,omitempty"`
}

// Count is how many users an operation is done to.
func (r *SyncReport) Count(op string) (n int) {
	for _, c := range r.Changes {
		if c.Op == op {
			n++
		}
	}
	return n
}

// Plan is what the users found in a directory make of a site: a function of both, so that a dry run says what the real one does. The site is
// not modified; next is another one, or the same when nothing changes. With force the limit on losses does not count.
//
// Users that the directory has not made are never touched: who has a name of the directory and is not from it is skipped and named.
func Plan(e config.LDAPDirectory, site *config.Site, found []Account, force bool) (next *config.Site, r SyncReport) {
	e = e.WithDefaults()
	p := &planner{e: e, site: site.Clone(), r: SyncReport{Directory: e.Name, Seen: len(found), Changes: []UserChange{}}, at: map[string]int{}, byID: map[string]int{}}
	p.index()
	seen := map[string]bool{}
	for _, a := range found {
		if a.ID != "" && seen[a.ID] {
			continue
		}
		seen[a.ID] = true
		p.user(a)
	}
	p.missing(seen)
	p.finish()
	losses := p.r.Count("disable") + p.r.Count("remove")
	if limit := max(p.r.Known*e.Sync.MaxLossPercent/100, 1); losses > limit && !force {
		p.r.Refused = fmt.Sprintf("%d of %d users would be disabled or removed, more than sync.maxLossPercent (%d) allows: look at base and filter, then repeat it with --force", losses, p.r.Known, e.Sync.MaxLossPercent)
		return site, p.r
	}
	if err := p.site.Check(); err != nil {
		p.r.Refused = "the site would not be valid: " + err.Error()
		return site, p.r
	}
	return p.site, p.r
}

// planner works on a copy of a site.
type planner struct {
	e    config.LDAPDirectory
	site *config.Site
	r    SyncReport
	at   map[string]int // place of a user by its name in lower case
	byID map[string]int // of those that came from the directory
	gone []int          // places of users to be taken out
}

// ours reports whether a user came from this directory.
func (p *planner) ours(u config.User) bool {
	return u.Authentication == config.AuthenticateLDAP && u.LDAPID != "" && (u.LDAPDirectory == p.e.Name || u.LDAPDirectory == "" && len(p.site.LDAPDirectories) == 1)
}

func (p *planner) index() {
	for i, u := range p.site.Users {
		p.at[strings.ToLower(u.Name)] = i
		if p.ours(u) {
			p.byID[u.LDAPID] = i
			p.r.Known++
		}
	}
}

func (p *planner) note(user, op, why string) {
	p.r.Changes = append(p.r.Changes, UserChange{User: user, Op: op, Why: why})
}

// user does what one account asks for.
func (p *planner) user(a Account) {
	i, known := p.byID[a.ID]
	taken, named := p.at[strings.ToLower(a.User)]
	switch {
	case a.User == "" || a.ID == "":
		p.note(a.DN, "skip", "the entry has no "+or(map[bool]string{true: p.e.Attributes.User}[a.User == ""], p.e.Attributes.ID))
	case known:
		p.change(i, a)
	case !config.IsName(a.User):
		p.note(a.User, "skip", "a user cannot have this name: letters, digits, blanks and . _ @ - are allowed")
	case named && p.site.Users[taken].LDAPID == a.ID:
	case named:
		p.note(a.User, "skip", "another user of the site has this name, which did not come from the directory")
	default:
		u := config.User{Name: a.User, DisplayName: a.DisplayName, Authentication: config.AuthenticateLDAP, LDAPDirectory: p.e.Name, LDAPID: a.ID, CredentialPolicy: p.e.Sync.CredentialPolicy}
		u.Disabled, u.LDAPDisabled = a.Disabled, a.Disabled
		why := p.groups(&u, a)
		p.at[strings.ToLower(a.User)] = len(p.site.Users)
		p.byID[a.ID] = len(p.site.Users)
		p.site.Users = append(p.site.Users, u)
		p.note(a.User, "add", why)
	}
}

// change brings a known user up to date.
func (p *planner) change(i int, a Account) {
	u := &p.site.Users[i]
	if a.User != u.Name {
		p.rename(i, a.User)
	}
	var what []string
	if a.DisplayName != "" && a.DisplayName != u.DisplayName {
		u.DisplayName = a.DisplayName
		what = append(what, "displayName")
	}
	before := slices.Clone(u.Groups)
	note := p.groups(u, a)
	if !slices.Equal(before, u.Groups) {
		what = append(what, "groups")
	}
	if len(what) > 0 {
		p.note(u.Name, "change", strings.TrimSuffix(strings.Join(what, ", ")+"; "+note, "; "))
	}
	switch {
	case a.Disabled && !u.Disabled:
		u.Disabled, u.LDAPDisabled = true, true
		p.note(u.Name, "disable", "the directory has disabled the account")
	case !a.Disabled && u.LDAPDisabled:
		u.Disabled, u.LDAPDisabled = false, false
		p.note(u.Name, "enable", "the directory has the account, and it is enabled there")
	}
}

// rename gives a user a new name, and tells those that refer to it.
func (p *planner) rename(i int, name string) {
	u := &p.site.Users[i]
	old := u.Name
	if other, taken := p.at[strings.ToLower(name)]; taken && other != i || !config.IsName(name) {
		p.note(old, "skip", fmt.Sprintf("is called %q in the directory now, which another user of the site is called or nobody can be", name))
		return
	}
	delete(p.at, strings.ToLower(old))
	p.at[strings.ToLower(name)] = i
	u.Name = name
	u.DigestCredential = config.DigestVerifier{} // it is bound to the old name
	for j := range p.site.Devices {
		d := &p.site.Devices[j]
		d.Owner, d.DigestUser = renamed(d.Owner, old, name), renamed(d.DigestUser, old, name)
	}
	for j := range p.site.SIPTrunkSecurityProfiles {
		t := &p.site.SIPTrunkSecurityProfiles[j]
		t.DigestUser = renamed(t.DigestUser, old, name)
	}
	p.note(name, "rename", "was "+old)
}

func renamed(have, old, name string) string {
	if have == old {
		return name
	}
	return have
}

// groups gives a user the access control groups of its directory groups, and takes those it no longer has. What no entry of the map speaks
// of is an operator's matter.
func (p *planner) groups(u *config.User, a Account) (why string) {
	var managed, has []config.Group
	for _, m := range p.e.Groups {
		managed = append(managed, m.Groups...)
		if slices.ContainsFunc(a.Groups, func(dn string) bool { return SameDN(dn, m.DN) }) {
			has = append(has, m.Groups...)
		}
	}
	out := slices.DeleteFunc(slices.Clone(u.Groups), func(g config.Group) bool { return slices.Contains(managed, g) })
	for _, g := range has {
		if !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	if i := slices.Index(out, config.GroupCTISRTPKeys); i >= 0 && len(u.Devices) == 0 && !slices.Contains(out, config.GroupCTIAllDevices) {
		out = slices.Delete(out, i, i+1)
		why = fmt.Sprintf("%s is given when devices are associated with the user", config.GroupCTISRTPKeys)
	}
	slices.Sort(out)
	if sortedBefore := slices.Sorted(slices.Values(u.Groups)); !slices.Equal(sortedBefore, out) {
		u.Groups = out
	}
	return why
}

// missing does what is configured to users whom the directory no longer has.
func (p *planner) missing(seen map[string]bool) {
	for i := range p.site.Users {
		u := &p.site.Users[i]
		switch {
		case !p.ours(*u) || seen[u.LDAPID]:
		case p.e.Sync.Missing == config.MissingRemove && !p.referred(u.Name):
			p.gone = append(p.gone, i)
			p.note(u.Name, "remove", "the directory no longer has it, or the filter leaves it out")
		case !u.Disabled:
			u.Disabled, u.LDAPDisabled = true, true
			why := "the directory no longer has it, or the filter leaves it out"
			if p.e.Sync.Missing == config.MissingRemove {
				why += "; it is not removed, since a device or trunk names it"
			}
			p.note(u.Name, "disable", why)
		}
	}
}

// referred reports whether something of the site names a user.
func (p *planner) referred(user string) bool {
	return slices.ContainsFunc(p.site.Devices, func(d config.Device) bool { return d.Owner == user || d.DigestUser == user }) ||
		slices.ContainsFunc(p.site.SIPTrunkSecurityProfiles, func(t config.SIPTrunkSecurityProfile) bool { return t.DigestUser == user })
}

func (p *planner) finish() {
	for _, i := range slices.Backward(p.gone) {
		p.site.Users = slices.Delete(p.site.Users, i, i+1)
	}
	p.site.Canonical()
	slices.SortStableFunc(p.r.Changes, func(a, b UserChange) int { return cmp.Compare(a.User, b.User) })
}
