package ldap

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/pki"
)

// Reason says why a login, a search or a step of a check did not succeed. The zero value is success.
type Reason string

// The reasons about a user.
const (
	Success               Reason = ""
	NoSuchUser            Reason = "no-such-user"            // the filter finds nobody
	Ambiguous             Reason = "ambiguous-user"          // the filter finds more than one
	EmptyPassword         Reason = "empty-password"          // refused here
	WrongPassword         Reason = "wrong-password"          // result 49, data 52e
	AccountDisabled       Reason = "account-disabled"        // data 533
	AccountLocked         Reason = "account-locked"          // data 775; pwdAccountLockedTime
	AccountExpired        Reason = "account-expired"         // data 701
	PasswordExpired       Reason = "password-expired"        // data 532; passwordExpired
	MustChangePassword    Reason = "must-change-password"    // data 773; changeAfterReset
	OutsideHours          Reason = "outside-hours"           // data 530
	WorkstationNotAllowed Reason = "workstation-not-allowed" // data 531
)

// The reasons about a directory.
const (
	NotConfigured     Reason = "not-configured"      // no bind password, a file that cannot be read
	NameUnknown       Reason = "name-unknown"        // the name server has no address for the server
	Unreachable       Reason = "unreachable"         // nothing listens, no route
	Silent            Reason = "silent"              // it accepts and does not answer in time
	Closed            Reason = "closed"              // it ended the connection in the middle
	NotTLS            Reason = "not-tls"             // LDAPS asked for at a port that speaks clear LDAP
	NotLDAP           Reason = "not-ldap"            // clear LDAP asked for at a port that speaks TLS, or something else
	CertificateBad    Reason = "certificate-refused" // see Findings
	StartTLSRefused   Reason = "starttls-refused"
	ServiceBind       Reason = "service-bind-refused"    // bind DN or its password
	ServiceAccount    Reason = "service-account-refused" // the service account is locked, disabled or expired: see Account
	TLSRequired       Reason = "tls-required"            // results 8 and 13: the server wants encryption
	AnonymousRefused  Reason = "anonymous-refused"       // results 48, 50, 1 without a bind DN
	AccessRefused     Reason = "access-refused"          // result 50
	BaseMissing       Reason = "base-missing"            // result 32
	BaseInvalid       Reason = "base-invalid"            // result 34
	FilterInvalid     Reason = "filter-invalid"
	FilterNobody      Reason = "filter-finds-nobody" // no entry under the base passes the filter
	AttributeMissing  Reason = "attribute-missing"   // no entry has a mapped attribute
	GroupMissing      Reason = "group-missing"       // a mapped group does not exist
	SizeLimit         Reason = "size-limit"          // result 4
	TimeLimit         Reason = "time-limit"          // result 3
	PagingUnsupported Reason = "paging-unsupported"
	ReferralRefused   Reason = "referral-refused" // to a server that is not configured
	ReferralLoop      Reason = "referral-loop"    // or more hops than allowed
	ClockSkew         Reason = "clock-skew"
	CertificateSoon   Reason = "certificate-expires"
	Busy              Reason = "busy"      // results 51 and 52
	TooMuch           Reason = "too-much"  // more than is taken in answer to one request
	Refused           Reason = "refused"   // any other result
	TooManyLogins     Reason = "too-many"  // the logins under way already are all that are allowed at once
	Cancelled         Reason = "cancelled" // who asked no longer waits
)

// Away reports whether the directory could not be asked at all: what a period of grace is for. A directory that refuses is not away.
func (r Reason) Away() bool {
	switch r {
	case NameUnknown, Unreachable, Silent, Closed, Busy:
		return true
	}
	return false
}

// Problem is why something did not succeed, and what to do.
type Problem struct {
	Reason Reason `json:"reason"`
	Server string `json:"server,omitempty"` // ldaps://dc1.corp.test:636
	What   string `json:"what"`             // one sentence without a full stop
	Fix    string `json:"fix,omitempty"`    // imperative, no full stop
	// Code is the LDAP result code (RFC 4511, 4.1.9), 0 where there was none; Data is Active Directory's number in the text, in hexadecimal.
	Code uint16 `json:"code,omitempty"`
	Data string `json:"data,omitempty"`
	// Account is what is wrong with the service account, where Reason is ServiceAccount.
	Account Reason `json:"account,omitempty"`
	// Findings are the certificate verification's.
	Findings pki.Findings `json:"findings,omitempty"`
}

// Error is what is wrong, where, and what to do.
func (p *Problem) Error() string {
	s := p.What
	if p.Server != "" {
		s = p.Server + ": " + s
	}
	if p.Fix != "" {
		s += ": " + p.Fix
	}
	return "ldap: " + s
}

// subCode finds Active Directory's number in the text of a refused bind: "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext
// error, data 52e, v1db1". The numbers are system error codes in hexadecimal (Microsoft, "System Error Codes", 1300 to 1909).
var subCode = regexp.MustCompile(`(?i)\bdata ([0-9a-f]{1,8})\b`)

// account is a reason for a refused bind, with its sentence and its fix.
type account struct {
	reason    Reason
	what, fix string
}

// byData are Active Directory's numbers.
var byData = map[string]account{
	"525": {NoSuchUser, "there is no such account", "compare the name with the directory"},
	"52e": {WrongPassword, "the password is wrong", "type it again"},
	"52f": {AccountDisabled, "the account is restricted: it may not log in without a password, from here or at this time", "look at its restrictions in the directory"},
	"530": {OutsideHours, "the account may not log in at this hour", "change its logon hours in the directory"},
	"531": {WorkstationNotAllowed, "the account may not log in from this machine", "add the node, or allow all computers, under \"Log On To\" in the directory"},
	"532": {PasswordExpired, "the password has expired", "change it"},
	"533": {AccountDisabled, "the account is disabled", "enable it in the directory"},
	"701": {AccountExpired, "the account has expired", "move its expiry date in the directory"},
	"773": {MustChangePassword, "the password must be changed before it can be used", "change it at a workstation of the domain"},
	"775": {AccountLocked, "the account is locked after too many wrong passwords", "wait for the lock to end, or unlock it in the directory"},
}

// byText are the texts of servers that give no number: OpenLDAP with ppolicy, 389 Directory Server and FreeIPA.
var byText = []struct {
	part string
	data string
}{
	{"account locked", "775"}, {"account is locked", "775"}, {"exceed password retry limit", "775"},
	{"account inactivated", "533"}, {"account disabled", "533"}, {"account is disabled", "533"}, {"contact system administrator", "533"},
	{"password expired", "532"}, {"password has expired", "532"},
	{"must be changed", "773"}, {"must change", "773"}, {"account expired", "701"}, {"account has expired", "701"},
}

// refusedBind is what a refused bind says about the account.
func refusedBind(err error, policy *goldap.ControlBeheraPasswordPolicy) (account, string) {
	text := strings.ToLower(errorText(err))
	if m := subCode.FindStringSubmatch(text); m != nil {
		data := strings.TrimLeft(m[1], "0")
		if a, ok := byData[data]; ok {
			return a, data
		}
		return account{Refused, "the bind was refused (" + said(err) + ")", "look the number up among the system error codes of Windows"}, data
	}
	if policy != nil { // draft-behera-ldap-password-policy-10, 6.2
		switch policy.Error {
		case 0:
			return byData["532"], ""
		case 1:
			return account{AccountLocked, "the account is locked", "wait for the lock to end, or unlock it in the directory (pwdAccountLockedTime)"}, ""
		case 2:
			return byData["773"], ""
		}
	}
	for _, t := range byText {
		if strings.Contains(text, t.part) {
			return byData[t.data], ""
		}
	}
	return account{WrongPassword, "name or password is wrong", "type it again"}, ""
}

func errorText(err error) string {
	var e *goldap.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// resultCode is the LDAP result code of an error; ok is false for one that no server sent.
func resultCode(err error) (uint16, bool) {
	var e *goldap.Error
	if !errors.As(err, &e) || e.ResultCode >= goldap.ErrorNetwork {
		return 0, false
	}
	return e.ResultCode, true
}

// said is a server's own text, short and harmless to print.
func said(err error) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, errorText(err))
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

// resultProblem says what a result other than success means for anything but a user's bind. doing begins its sentence.
func resultProblem(server, doing string, code uint16, err error, anonymous bool) *Problem {
	p := &Problem{Reason: Refused, Server: server, Code: code, What: fmt.Sprintf("%s was refused with result %d (%s)", doing, code, said(err)),
		Fix: "see the directory server's own log"}
	if m := subCode.FindStringSubmatch(errorText(err)); m != nil {
		p.Data = strings.ToLower(m[1])
	}
	set := func(r Reason, what, fix string) {
		p.Reason, p.What, p.Fix = r, fmt.Sprintf("%s %s (result %d: %s)", doing, what, code, said(err)), fix
	}
	switch code {
	case goldap.LDAPResultTimeLimitExceeded:
		set(TimeLimit, "took longer than the directory allows", "index the attribute of the filter in the directory, narrow base, or raise searchTimeLimit")
	case goldap.LDAPResultSizeLimitExceeded, goldap.LDAPResultAdminLimitExceeded:
		set(SizeLimit, "finds more entries than the directory gives out", "narrow base or filter, lower pageSize, or raise the directory's limit for the bind DN")
	case goldap.LDAPResultStrongAuthRequired, goldap.LDAPResultConfidentialityRequired:
		set(TLSRequired, "is not allowed on a connection in clear", "set transport: ldaps, or starttls")
	case goldap.LDAPResultNoSuchObject:
		set(BaseMissing, "has a base that does not exist", "correct base: it is the DN of the part of the directory where users are")
	case goldap.LDAPResultInvalidDNSyntax:
		set(BaseInvalid, "has a base that is no DN", "write base as for instance OU=People,DC=corp,DC=test")
	case goldap.LDAPResultInappropriateAuthentication, goldap.LDAPResultInsufficientAccessRights, goldap.LDAPResultOperationsError:
		accessProblem(p, set, code, anonymous)
	case goldap.LDAPResultBusy, goldap.LDAPResultUnavailable:
		set(Busy, "was put off: the directory is busy or unavailable", "see the load and the log of the directory server; another server is asked where one is configured")
	case goldap.LDAPResultInappropriateMatching, goldap.LDAPResultInvalidAttributeSyntax:
		set(FilterInvalid, "has a filter that the directory cannot apply", "correct filter: a matching rule that it does not have, or a value of another type")
	case goldap.LDAPResultLoopDetect:
		set(ReferralLoop, "goes round in a circle of servers", "correct the referrals of the directory")
	}
	return p
}

// accessProblem tells what lacks when a server refuses a search: a bind at all, or rights.
func accessProblem(p *Problem, set func(Reason, string, string), code uint16, anonymous bool) {
	switch {
	case anonymous:
		set(AnonymousRefused, "is refused without a bind", "set bindDN and bindPassword: this directory answers nobody it does not know")
	case code == goldap.LDAPResultInsufficientAccessRights:
		set(AccessRefused, "is refused to the bind DN", "give the service account the right to read users under base")
	}
}
