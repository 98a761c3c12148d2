package rights

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// conditions is the one list, in the order in which an application meets them. Nothing changes it.
var conditions = [...]condition{
	{"cti-manager-configured", Reach, ctiqbe.OK, managerConfigured},
	{"cti-manager-running", Reach, ctiqbe.OK, managerRunning},
	{"port-open", Reach, ctiqbe.OK, portOpen},
	{"cluster-mixed", Reach, ctiqbe.OK, clusterMixed},
	{"ctl-current", Reach, ctiqbe.OK, ctlCurrent},

	{"user-known", Login, ctiqbe.ErrDirectoryLoginFailed, userKnown},
	{"account-not-locked", Login, ctiqbe.ErrLoginFailedAccountLocked, notLocked},
	{"password-known", Login, ctiqbe.ErrDirectoryLoginFailed, passwordKnown},
	{"directory-answers", Login, ctiqbe.ErrDirectoryTemporaryUnavailable, directoryAnswers},
	{"user-enabled", Login, ctiqbe.ErrLoginFailedAccountDisabled, userEnabled},
	{"password-current", Login, ctiqbe.ErrLoginFailedPwdExpiredUserCanReset, passwordCurrent},

	{"cti-enabled", Provider, ctiqbe.ErrDirectoryLoginNotAllowed, ctiEnabled},
	{"port-allowed", Provider, ctiqbe.ErrConnectionOnInvalidPort, portAllowed},

	{"instance-known", Certificate, ctiqbe.ErrInvalidCertificateUsed, instanceKnown},
	{"certificate-issued", Certificate, ctiqbe.ErrInvalidCertificateUsed, certificateIssued},
	{"certificate-in-time", Certificate, ctiqbe.ErrInvalidCertificateUsed, certificateInTime},
	{"certificate-not-revoked", Certificate, ctiqbe.ErrInvalidCertificateUsed, certificateNotRevoked},
	{"certificate-verifies", Certificate, ctiqbe.ErrInvalidCertificateUsed, certificateVerifies},
	{"certificate-not-compromised", Certificate, ctiqbe.ErrCertificateCompromised, certificateNotCompromised},

	{"device-known", Device, ctiqbe.ErrInvalidDeviceName, deviceKnown},
	{"device-associated", Device, ctiqbe.ErrAccessToDeviceDenied, deviceAssociated},
	{"device-allows-cti", Device, ctiqbe.ErrDeviceRestricted, deviceAllows},

	{"line-known", Line, ctiqbe.ErrUndefinedLine, lineKnown},
	{"line-allows-cti", Line, ctiqbe.ErrLineRestricted, lineAllows},

	{"protocol-spoken", State, ctiqbe.OK, protocolSpoken},
	{"call-manager-running", State, ctiqbe.OK, callManagerRunning},
	{"device-registered", State, ctiqbe.OK, deviceRegistered},

	{"keys-allowed", Keys, ctiqbe.OK, keysAllowed},
	{"keys-there", Keys, ctiqbe.OK, keysThere},
}

// The conditions of reaching a CTI manager.

func managerConfigured(f *Facts) found {
	var on []string
	for _, n := range f.Nodes {
		if n.Runs(config.ServiceCTIManager) {
			on = append(on, n.Name)
		}
	}
	if len(on) == 0 {
		return failed("add {service: ctimanager} to the services of a node and start the node again", "no node of the site runs a CTI manager")
	}
	return met("the CTI manager runs on %s", strings.Join(on, ", "))
}

func managerRunning(f *Facts) found {
	if f.Managers == nil {
		return unknown("the CTI managers were not asked")
	}
	var up, down []string
	for _, s := range f.Managers {
		if s.up() {
			up = append(up, s.Node)
		} else {
			down = append(down, fmt.Sprintf("%s: %s", s.Node, cmp.Or(s.Problem, s.State, "it does not answer")))
		}
	}
	switch {
	case len(up) > 0:
		return met("it answers on %s", strings.Join(up, ", "))
	case len(down) > 0:
		return failed("locktone status on that node says why; start the node", "no CTI manager answers: %s", strings.Join(down, "; "))
	}
	return failed("start a node that runs the CTI manager; a change of services takes effect when the node starts again", "no CTI manager answers")
}

func portOpen(f *Facts) found {
	if f.Managers == nil {
		return unknown("the CTI managers were not asked")
	}
	for _, s := range f.Managers {
		if s.up() && s.listens(f.secure()) {
			return met("port %d is open on %s", f.port(), s.Node)
		}
	}
	if !f.secure() {
		return failed("come to port 2749 with the certificate of an instance, or make the exception: clear: true of the service ctimanager, and start the node again",
			"no CTI manager listens without TLS (port 2748)")
	}
	return failed("locktone status says why; another program may have port 2749", "no CTI manager listens on port 2749")
}

func clusterMixed(f *Facts) found {
	switch {
	case !f.secure():
		return irrelevant("the port without TLS needs no trust list")
	case f.Site.Cluster().SecurityMode != config.Mixed:
		return failed("locktone trust mode mixed", "the cluster is non-secure: applications are given no trust list with the CTI manager, and come to no port 2749")
	}
	return met("the cluster is in mixed mode")
}

func ctlCurrent(f *Facts) found {
	switch {
	case !f.secure():
		return irrelevant("the port without TLS needs no trust list")
	case f.Site.Cluster().SecurityMode != config.Mixed:
		return irrelevant("a non-secure cluster's list names no services")
	case f.CTL == nil:
		return unknown("the trust list was not looked at")
	case f.CTL.Version == 0:
		return failed("locktone status says why none is published", "no CTL has been published")
	case len(f.CTL.Expired) > 0:
		return failed("locktone trust plan --rotate ctimanager --apply", "the certificate of the CTI manager on %s is over", strings.Join(f.CTL.Expired, ", "))
	case len(f.CTL.Missing) > 0:
		return failed("start that node again, or look at its status: a node announces its certificates when it starts",
			"CTL %d has no certificate of the CTI manager on %s: applications refuse it", f.CTL.Version, strings.Join(f.CTL.Missing, ", "))
	}
	return met("CTL %d has the certificate of every CTI manager", f.CTL.Version)
}

// The conditions of the login.

func userKnown(f *Facts) found {
	if f.user() != nil {
		return met("user %s is configured", f.User)
	}
	for _, u := range f.Site.Users() {
		if strings.EqualFold(u.Name, f.User) {
			return failed("log in as "+u.Name, "there is no user %s, but one %s: names are compared letter by letter", f.User, u.Name)
		}
	}
	return failed(fmt.Sprintf("add %s to users, or synchronise the LDAP directory that has it", f.User), "there is no user %s", f.User)
}

// standing is the verdict on what the credential policy says, where it says one of the reasons.
func standing(f *Facts, fine string, reasons ...login.Reason) found {
	u := f.user()
	if f.LoggedIn {
		return irrelevant("the user is logged in")
	}
	if u == nil {
		return unknown("there is no such user")
	}
	account := login.Account{}
	if f.Account != nil {
		account = *f.Account
	} else if !slices.Contains(reasons, login.WrongCredentials) {
		return unknown("what is remembered of the account was not looked at")
	}
	reason, why, fix := login.Standing(u, account, f.Now)
	if slices.Contains(reasons, reason) {
		return failed(fix, "%s", why).as(ResultOf(reason))
	}
	return met("%s", fine)
}

func notLocked(f *Facts) found { return standing(f, "the account is not locked", login.AccountLocked) }

func passwordKnown(f *Facts) found {
	u := f.user()
	switch {
	case u == nil:
		return unknown("there is no such user")
	case u.Authentication == config.AuthenticateLDAP && f.Source != nil && f.Source.Name == "":
		return failed("add the directory under ldapDirectories, or say authentication: local", "user %s authenticates by LDAP, and no LDAP directory is configured", u.Name).
			as(ResultOf(login.DirectoryRefused))
	case u.Authentication == config.AuthenticateLDAP:
		return met("an LDAP directory knows the password")
	}
	return standing(f, "the user has a password", login.WrongCredentials)
}

func directoryAnswers(f *Facts) found {
	u := f.user()
	switch {
	case u == nil:
		return unknown("there is no such user")
	case u.Authentication != config.AuthenticateLDAP:
		return irrelevant("the password is in the configuration")
	case f.Source == nil || f.Source.Name == "":
		return unknown("no LDAP directory was asked")
	case f.Source.Reason == login.Success:
		return met("LDAP directory %s has the user", f.Source.Name)
	}
	return failed(f.Source.Fix, "LDAP directory %s: %s", f.Source.Name, f.Source.Why).as(ResultOf(f.Source.Reason))
}

func userEnabled(f *Facts) found {
	u := f.user()
	switch {
	case u == nil:
		return unknown("there is no such user")
	case u.Disabled:
		return failed(fmt.Sprintf("remove disabled of user %s", u.Name), "user %s is disabled in the configuration", u.Name)
	}
	return met("the user is not disabled")
}

func passwordCurrent(f *Facts) found {
	return standing(f, "the password has not expired", login.PasswordExpired, login.PasswordExpiredHard)
}

// The conditions of the user's groups.

func inGroup(u string, g config.Group) string {
	return fmt.Sprintf("add %s to groups of user %s", g, u)
}

func ctiEnabled(f *Facts) found {
	u := f.user()
	switch {
	case u == nil:
		return unknown("there is no such user")
	case !u.In(config.GroupCTIEnabled):
		return failed(inGroup(u.Name, config.GroupCTIEnabled), "user %s is not in the group %s", u.Name, config.GroupCTIEnabled)
	}
	return met("user %s is in the group %s", u.Name, config.GroupCTIEnabled)
}

func portAllowed(f *Facts) found {
	u := f.user()
	switch {
	case u == nil:
		return unknown("there is no such user")
	case u.In(config.GroupCTISecureConnection) && !f.secure():
		return failed(fmt.Sprintf("have the application come to port %d with the certificate of its instance", SecurePort),
			"user %s is in the group %s and may come to port %d only", u.Name, config.GroupCTISecureConnection, SecurePort)
	case !u.In(config.GroupCTISecureConnection) && f.secure():
		return failed(inGroup(u.Name, config.GroupCTISecureConnection), "user %s is not in the group %s, which port %d asks for", u.Name, config.GroupCTISecureConnection, SecurePort).
			as(ctiqbe.ErrUserNotAuthForSecurity)
	}
	return met("user %s may come to port %d", u.Name, f.port())
}

// The conditions of the device.

func deviceKnown(f *Facts) found {
	if f.device() != nil {
		return met("device %s is configured", f.Device)
	}
	for _, d := range f.Site.Devices() {
		if strings.EqualFold(d.Name, f.Device) {
			return failed("open "+d.Name, "there is no device %s, but one %s: names are compared letter by letter", f.Device, d.Name)
		}
	}
	return failed("add it to devices, or correct the name", "there is no device %s", f.Device)
}

func deviceAssociated(f *Facts) found {
	u, d := f.user(), f.device()
	switch {
	case u == nil || d == nil:
		return unknown("there is no such user or device")
	case !u.Associated(d.Name):
		return failed(fmt.Sprintf("add %s to devices of user %s, or %s to its groups", d.Name, u.Name, config.GroupCTIAllDevices), "device %s is not associated with user %s", d.Name, u.Name)
	case u.In(config.GroupCTIAllDevices):
		return met("user %s controls all devices", u.Name)
	}
	return met("device %s is associated with user %s", d.Name, u.Name)
}

func deviceAllows(f *Facts) found {
	d := f.device()
	switch {
	case d == nil:
		return unknown("there is no such device")
	case d.AllowControlFromCTI == config.CTIControlRefused:
		return failed(fmt.Sprintf("set allowControlFromCTI: yes of device %s", d.Name), "device %s does not allow control from CTI", d.Name)
	}
	return met("device %s allows control from CTI", d.Name)
}

func lineKnown(f *Facts) found {
	d := f.device()
	switch {
	case d == nil:
		return unknown("there is no such device")
	case len(d.Appearances) == 0:
		return failed(fmt.Sprintf("give device %s a line", d.Name), "device %s has no line", d.Name)
	case f.Line != "" && len(appearances(f)) == 0:
		return failed(fmt.Sprintf("add the line to device %s, or correct the number", d.Name), "device %s has no line %s", d.Name, f.Line)
	}
	return met("device %s has %d lines", d.Name, len(d.Appearances))
}

// appearances are the numbers of the lines in question that allow control, and those that do not.
func appearances(f *Facts) (all []lineRight) {
	if d := f.device(); d != nil {
		for _, a := range d.Appearances {
			if f.Line == "" || f.Line == a.Line.Number || f.Line == a.Line.Key() {
				all = append(all, lineRight{a.Line.Number, a.AllowControlFromCTI == config.CTIControlAllowed})
			}
		}
	}
	return all
}

type lineRight struct {
	number  string
	allowed bool
}

func lineAllows(f *Facts) found {
	var refused, allowed []string
	for _, a := range appearances(f) {
		if a.allowed {
			allowed = append(allowed, a.number)
		} else {
			refused = append(refused, a.number)
		}
	}
	switch {
	case len(refused) == 0 && len(allowed) == 0:
		return unknown("there is no such line")
	case len(refused) > 0:
		return failed(fmt.Sprintf("set allowControlFromCTI: yes of the line on device %s", f.Device), "line %s on device %s does not allow control from CTI", strings.Join(refused, ", "), f.Device)
	}
	return met("line %s allows control from CTI", strings.Join(allowed, ", "))
}

// The conditions of being in service.

func protocolSpoken(f *Facts) found {
	d := f.device()
	switch {
	case d == nil:
		return unknown("there is no such device")
	case d.Protocol == config.ProtocolSCCP:
		return failed(fmt.Sprintf("set protocol: sip of device %s, and give the phone the firmware for it", d.Name), "device %s speaks SCCP, which this version does not", d.Name)
	}
	return met("the call manager speaks the protocol of the device (%s)", d.Protocol)
}

func callManagerRunning(f *Facts) found {
	d := f.device()
	if d == nil || f.CallManagers == nil {
		return unknown("the call managers were not asked")
	}
	for _, s := range f.CallManagers {
		if s.up() && slices.Contains(d.Nodes, s.Node) {
			return met("the call manager on %s serves the device", s.Node)
		}
	}
	return failed(fmt.Sprintf("start a node of call manager group %s, or put a node that runs into it", d.Pool.CallManagerGroup),
		"no node of the device's call manager group (%s) runs a call manager", strings.Join(d.Nodes, ", "))
}

func deviceRegistered(f *Facts) found {
	d := f.device()
	switch {
	case d == nil || f.Registration == nil:
		return unknown("the registrations were not looked at")
	case f.Registration.Registered:
		return met("device %s is registered at %s", d.Name, f.Registration.Node)
	case d.Protocol.Terminal():
		return failed("have the application register it (an open CTI port or route point)", "no application has registered %s", d.Name)
	case f.Registration.Failure != "":
		return failed("mend what the phone was refused for: locktone show connections "+d.Name, "device %s is not registered; its last attempt failed: %s", d.Name, f.Registration.Failure)
	}
	return failed("see that the phone runs, reaches the node and has its configuration and certificate: locktone show connections "+d.Name, "device %s is not registered", d.Name)
}

// The conditions of being given SRTP keys.

func keysAllowed(f *Facts) found {
	u := f.user()
	switch {
	case u == nil:
		return unknown("there is no such user")
	case !u.In(config.GroupCTISRTPKeys):
		return failed(inGroup(u.Name, config.GroupCTISRTPKeys), "user %s is not in the group %s", u.Name, config.GroupCTISRTPKeys)
	case !f.secure():
		return failed(fmt.Sprintf("have the application come to port %d", SecurePort), "keys are given on port %d only", SecurePort)
	}
	return met("user %s is given the keys of its devices", u.Name)
}

func keysThere(f *Facts) found {
	d := f.device()
	switch {
	case d == nil:
		return unknown("there is no such device")
	case d.Security.DeviceSecurityMode != config.Encrypted:
		return failed(fmt.Sprintf("set deviceSecurityMode: encrypted of phone security profile %s", cmp.Or(d.PhoneSecurityProfile, "of the device")),
			"calls of device %s have no keys: it is %s", d.Name, d.Security.DeviceSecurityMode)
	}
	return met("calls of device %s are encrypted", d.Name)
}
