// Package directory answers who and what exists: users, devices, lines, trunks
// and the profiles that apply to them.
//
// A Directory is compiled from one revision of the site. It is immutable, so
// that any goroutine reads it without a lock; a service holds the current one
// behind an atomic pointer and replaces it when the store tells of a new
// revision. All references of the site are resolved and all defaults filled in,
// so that a reader never asks "and if it is left out?".
//
// Lists are ordered by name (lines by number and partition), buttons by index,
// search spaces by precedence: never by the order of a map.
//
// # Class of service
//
// A call is looked up in the calling search space of the line, then in that of
// the device, then among the numbers that belong to no partition, which
// everyone can reach. SearchSpace gives that order as one list of partitions.
package directory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/locktone/locktone/config"
)

// Directory is one revision of the site, resolved. It owns its values; they
// are shared with readers and must not be modified.
type Directory struct {
	revision int64
	cluster  config.Cluster
	devices  index[*Device]
	lines    index[*Line]
	trunks   index[*Trunk]
	users    index[*User]
	spaces   map[string][]string // calling search space: partitions
	subjects map[subject][]*Trunk
	policy   config.CredentialPolicy
}

// subject is what a peer's certificate is compared with: a name in lower case
// and the port it came to.
type subject struct {
	name string
	port int
}

// index is a set with an order.
type index[T any] struct {
	byName map[string]T
	list   []T
}

func newIndex[T any](n int) index[T] { return index[T]{make(map[string]T, n), make([]T, 0, n)} }

func (x *index[T]) add(name string, v T) {
	x.byName[name] = v
	x.list = append(x.list, v)
}

// Device is a phone with everything that applies to it.
type Device struct {
	config.Device                             // defaults filled in
	Security      config.PhoneSecurityProfile // in force: defaults filled in, and without security while the cluster is non-secure
	// Profile is the security profile as written, defaults filled in: what is in force again when the cluster is mixed.
	Profile config.PhoneSecurityProfile
	SIP     config.SIPProfile // defaults filled in
	Pool    config.DevicePool
	// Nodes are the call-manager nodes the device registers to: primary first.
	Nodes []string
	// Appearances are the device's buttons, by index.
	Appearances []*Appearance
	// Owner is nil when nobody owns the device.
	Owner *User
	// DigestUser is nil when the device has none.
	DigestUser *User
}

// Line is a directory number with the devices it is on.
type Line struct {
	config.Line // defaults filled in
	// Appearances are ordered by device name: more than one is a shared line.
	Appearances []*Appearance
}

// Shared reports whether the line is on more than one device.
func (l *Line) Shared() bool { return len(l.Appearances) > 1 }

// Appearance is a line on a button of a device.
type Appearance struct {
	config.Appearance // defaults filled in
	Device            *Device
	Line              *Line
	// SearchSpace lists the partitions a call from this button may reach, best first.
	SearchSpace []string
}

// Trunk is a connection to other call control with everything that applies to it.
type Trunk struct {
	config.SIPTrunk                                // defaults filled in
	Security        config.SIPTrunkSecurityProfile // defaults filled in
	SIP             config.SIPProfile              // defaults filled in; the trunk's mediaAnchor has replaced the profile's
	Pool            config.DevicePool
	// Nodes are the call-manager nodes that carry the trunk.
	Nodes []string
	// SearchSpace lists the partitions an incoming call may reach, best first.
	SearchSpace []string
}

// User is a person or an application.
type User struct {
	config.User
	// Controls are the devices associated with the user, by name.
	Controls []*Device
	// Owns are the devices the user owns, by name.
	Owns []*Device
	// Policy is the credential policy in force, defaults filled in: the user's, the one named default, or that of no fields.
	Policy config.CredentialPolicy
}

// In reports whether the user is in the access control group. It does not ask whether the user is disabled.
func (u *User) In(g config.Group) bool { return slices.Contains(u.Groups, g) }

// ReceivesKeys reports whether the user is entitled to SRTP keys: it needs the groups that let it log in on the secure port besides the
// one that names the keys.
func (u *User) ReceivesKeys() bool {
	return !u.Disabled && u.In(config.GroupCTIEnabled) && u.In(config.GroupCTISecureConnection) && u.In(config.GroupCTISRTPKeys)
}

// Associated reports whether the device is one of those the user may control by its name: one of Controls, or any for who controls all.
func (u *User) Associated(device string) bool {
	_, found := slices.BinarySearchFunc(u.Controls, device, func(d *Device, name string) int { return cmp.Compare(d.Name, name) })
	return found || u.In(config.GroupCTIAllDevices)
}

// May reports whether the user has the role or one that includes it: an
// administrator may what an operator may, an operator what a viewer may.
func (u *User) May(r config.Role) bool {
	return !u.Disabled && r != config.RoleNone && slices.ContainsFunc(u.Roles, func(have config.Role) bool { return have >= r })
}

// Revision is the number of the configuration the directory was compiled from.
func (d *Directory) Revision() int64 { return d.revision }

// Cluster is the cluster's entity with defaults filled in.
func (d *Directory) Cluster() config.Cluster { return d.cluster }

// Device returns the device of that name, spelt exactly so.
func (d *Directory) Device(name string) (*Device, bool) {
	v, ok := d.devices.byName[name]
	return v, ok
}

// Devices lists all devices by name.
func (d *Directory) Devices() []*Device { return d.devices.list }

// Line returns the line with that number in that partition.
func (d *Directory) Line(number, partition string) (*Line, bool) {
	v, ok := d.lines.byName[config.Line{Number: number, Partition: partition}.Key()]
	return v, ok
}

// Lines lists all lines by number and partition.
func (d *Directory) Lines() []*Line { return d.lines.list }

// Trunk returns the trunk of that name.
func (d *Directory) Trunk(name string) (*Trunk, bool) {
	v, ok := d.trunks.byName[name]
	return v, ok
}

// Trunks lists all trunks by name.
func (d *Directory) Trunks() []*Trunk { return d.trunks.list }

// User returns the user of that name.
func (d *Directory) User(name string) (*User, bool) {
	v, ok := d.users.byName[name]
	return v, ok
}

// DefaultPolicy is the credential policy of users that name none, defaults filled in.
func (d *Directory) DefaultPolicy() config.CredentialPolicy { return d.policy }

// Users lists all users by name.
func (d *Directory) Users() []*User { return d.users.list }

// TrunksBySubject lists the trunks, by name, whose security profile accepts one
// of the names a peer's certificate carries, on the port it came to. Names are
// compared whole and without regard to case. Several trunks that share a
// profile are told apart by the peer's address, which is the caller's work.
func (d *Directory) TrunksBySubject(names []string, port int) []*Trunk {
	var out []*Trunk
	for _, n := range names {
		for _, t := range d.subjects[subject{strings.ToLower(n), port}] {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Trunk) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// SearchSpace joins the calling search spaces of a line and a device: the
// line's partitions, the device's, and last the numbers of no partition, whose
// name is "". A partition that stands twice keeps its first place.
func (d *Directory) SearchSpace(line, device string) []string {
	out := make([]string, 0, len(d.spaces[line])+len(d.spaces[device])+1)
	for _, p := range slices.Concat(d.spaces[line], d.spaces[device], []string{""}) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
