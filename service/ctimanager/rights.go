package ctimanager

import (
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/rights"
)

// facts are what the CTI Manager knows of a user when it decides: the site and the port. The login itself was checked before.
func facts(site *siteView, user string, secure bool) *rights.Facts {
	port := rights.SecurePort
	if !secure {
		port = rights.ClearPort
	}
	return &rights.Facts{Site: site.Directory, User: user, Port: port, LoggedIn: true}
}

// unmet is the refusal of the first condition of a step that is not met.
func unmet(f *rights.Facts, step rights.Step) *refusal {
	if v, failed := rights.At(f, step); failed {
		return &refusal{result: v.Result, why: v.Found}
	}
	return nil
}

// mayLogIn says what a user may, and why not at all.
func mayLogIn(site *siteView, user string, secure bool) (rights.Settings, *refusal) {
	f := facts(site, user, secure)
	no := unmet(f, rights.Login)
	if no == nil {
		no = unmet(f, rights.Provider)
	}
	if u, ok := site.User(user); ok {
		return rights.SettingsOf(u), no
	}
	return rights.Settings{}, no
}

// mayControl says why a user may not open a device.
func (p *provider) mayControl(name string) (*directory.Device, *refusal) {
	site := p.world.site()
	f := facts(site, p.user, p.who.secure)
	f.Device = name
	for _, step := range []rights.Step{rights.Login, rights.Provider, rights.Device} { // a change of the site may be on its way to us
		if no := unmet(f, step); no != nil {
			return nil, no
		}
	}
	d, _ := site.Device(name)
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
