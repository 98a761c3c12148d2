package ctimanager

import (
	"fmt"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// permissions are what a user's groups allow. They print as the trace of the field has them.
type permissions struct {
	CTI, Secure, SRTPKeys, AllDevices, Monitoring, Recording, ParkMonitoring, ModifyCalling bool
	ConnectedTransfer, Rollover                                                             bool
}

func (r permissions) String() string {
	word := func(b bool) string {
		if b {
			return "Enabled"
		}
		return "Disabled"
	}
	return fmt.Sprintf("SuperProvider = %s CallParkRetrievalAllowed = %s ModifyCallingNumber = %s CTI Enabled = %s CallMonitor=%s CallRecord=%s", word(r.AllDevices),
		word(r.ParkMonitoring), word(r.ModifyCalling), word(r.CTI), word(r.Monitoring), word(r.Recording))
}

func permissionsOf(u *directory.User) permissions {
	return permissions{CTI: u.In(config.GroupCTIEnabled), Secure: u.In(config.GroupCTISecureConnection), SRTPKeys: u.ReceivesKeys(),
		AllDevices: u.In(config.GroupCTIAllDevices), Monitoring: u.In(config.GroupCTICallMonitoring), Recording: u.In(config.GroupCTICallRecording),
		ParkMonitoring: u.In(config.GroupCTICallPark), ModifyCalling: u.In(config.GroupCTICallingNumber),
		ConnectedTransfer: u.In(config.GroupCTIConnectedTransfer), Rollover: u.In(config.GroupCTIRollover)}
}

// mayLogIn says what a user may, and why not at all.
func mayLogIn(site *siteView, user string, secure bool) (permissions, *refusal) {
	u, ok := site.User(user)
	if !ok {
		return permissions{}, &refusal{result: ctiqbe.ErrDirectoryLoginFailed, why: fmt.Sprintf("there is no user %s", user)}
	}
	r := permissionsOf(u)
	switch {
	case u.Disabled:
		return r, &refusal{result: ctiqbe.ErrLoginFailedAccountDisabled, why: fmt.Sprintf("the account of %s is disabled", user)}
	case !r.CTI:
		return r, &refusal{result: ctiqbe.ErrDirectoryLoginNotAllowed, why: fmt.Sprintf("%s is not in the group Standard CTI Enabled", user)}
	case r.Secure && !secure:
		return r, &refusal{result: ctiqbe.ErrConnectionOnInvalidPort, why: fmt.Sprintf("%s is in the group Standard CTI Secure Connection: it must come to port %d", user, Port)}
	case !r.Secure && secure:
		return r, &refusal{result: ctiqbe.ErrUserNotAuthForSecurity, why: fmt.Sprintf("%s is not in the group Standard CTI Secure Connection, and came to port %d", user, Port)}
	}
	return r, nil
}

// mayControl says why a user may not open a device.
func (p *provider) mayControl(name string) (*directory.Device, *refusal) {
	site := p.world.site()
	d, ok := site.Device(name)
	u, known := site.User(p.user)
	switch {
	case !ok || !known:
		return nil, &refusal{result: ctiqbe.ErrInvalidDeviceName, why: fmt.Sprintf("there is no device %s", name)}
	case !u.Associated(name):
		return nil, &refusal{result: ctiqbe.ErrAccessToDeviceDenied, why: fmt.Sprintf("device %s is not associated with %s", name, p.user)}
	case d.AllowControlFromCTI == config.CTIControlRefused:
		return nil, &refusal{result: ctiqbe.ErrDeviceRestricted, why: fmt.Sprintf("device %s does not allow control from CTI", name)}
	}
	return d, nil
}

// controlled are the devices associated with the user, by name: those it is told of. Who may control all devices asks for the others by
// name.
func (p *provider) controlled() []*directory.Device {
	u, ok := p.world.site().User(p.user)
	if !ok {
		return nil
	}
	return u.Controls
}
