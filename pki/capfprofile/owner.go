package capfprofile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/locktone/locktone/pki"
)

// Owner is whom a profile is for: a device, or an instance of an application or end user.
type Owner struct {
	Device   string `json:"device,omitempty"`
	User     string `json:"user,omitempty"`
	Instance string `json:"instance,omitempty"`
	EndUser  bool   `json:"endUser,omitempty"` // an end user's, not an application user's; changes nothing but the heading
}

// ApplicationPrefix begins the name that CTI applications send: "CTI-" and the instance id.
const ApplicationPrefix = "CTI-"

var (
	deviceName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	instanceName = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)
)

// Check says what is wrong with the owner.
func (o Owner) Check() error {
	switch {
	case o.Device != "" && (o.User != "" || o.Instance != ""):
		return errors.New("capfprofile: a profile is for a device, or for a user and an instance id, not for both")
	case o.Device != "" && strings.HasPrefix(o.Device, ApplicationPrefix):
		return fmt.Errorf("capfprofile: device %q: names that begin with %s are those of CTI applications; make a profile for the user and the instance id", o.Device, ApplicationPrefix)
	case o.Device != "" && !deviceName.MatchString(o.Device):
		return fmt.Errorf("capfprofile: device %q: want at most 64 letters, digits, '.', '_', '-'", o.Device)
	case o.Device != "":
		return nil
	case o.User == "" || len(o.User) > 128:
		return errors.New("capfprofile: a device, or a user of at most 128 characters and an instance id are needed")
	case !instanceName.MatchString(o.Instance):
		return fmt.Errorf("capfprofile: instance id %q: want 1 to 128 letters and digits", o.Instance)
	}
	return nil
}

// String is the owner for a person: "SEP001122334455" or "tapi/5".
func (o Owner) String() string {
	if o.Device != "" {
		return o.Device
	}
	return o.User + "/" + o.Instance
}

// ParseOwner is the reverse of String.
func ParseOwner(s string) (Owner, error) {
	o := Owner{Device: s}
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		o = Owner{User: s[:i], Instance: s[i+1:]}
	}
	return o, o.Check()
}

// Kind is that of the owner's certificate.
func (o Owner) Kind() pki.Kind {
	if o.Device != "" {
		return pki.KindDevice
	}
	return pki.KindCTI
}

// maxCommonName is RFC 5280, A.1: ub-common-name.
const maxCommonName = 64

// CommonName is the subject of the owner's certificate: the device's name, or the instance id. An id that is too
// long for a common name is cut, with a digest of the whole behind it. Instance ids are unique within a user only: who
// holds a certificate is looked up by issuer and serial (Book.Holder), never by this name.
func (o Owner) CommonName() string {
	switch {
	case o.Device != "":
		return o.Device
	case len(o.Instance) <= maxCommonName:
		return o.Instance
	}
	sum := sha256.Sum256([]byte(o.Instance))
	return o.Instance[:maxCommonName-17] + "-" + hex.EncodeToString(sum[:8])
}

// The keys of the collection.
const (
	devicePrefix   = "device/"
	instancePrefix = "instance/"
	guardPrefix    = "guard/" // see Book.Create
)

// key is the profile's document. Names are escaped, so that no name reaches into another's place.
func (o Owner) key() string {
	if o.Device != "" {
		return devicePrefix + url.PathEscape(o.Device)
	}
	return instanceKeys(o.Instance) + url.PathEscape(o.User)
}

// instanceKeys begins the keys of all profiles with an instance id.
func instanceKeys(instance string) string { return instancePrefix + url.PathEscape(instance) + "/" }

func guardKey(instance string) string { return guardPrefix + url.PathEscape(instance) }
