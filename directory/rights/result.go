package rights

import (
	"fmt"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// ResultOf is the value with which a CTI manager says how a login ended.
func ResultOf(r login.Reason) ctiqbe.Result {
	switch r {
	case login.Success:
		return ctiqbe.OK
	case login.WrongCredentials:
		return ctiqbe.ErrDirectoryLoginFailed
	case login.AccountLocked:
		return ctiqbe.ErrLoginFailedAccountLocked
	case login.AccountDisabled:
		return ctiqbe.ErrLoginFailedAccountDisabled
	case login.PasswordExpired:
		return ctiqbe.ErrLoginFailedPwdExpiredUserCanReset
	case login.PasswordExpiredHard:
		return ctiqbe.ErrLoginFailedPwdExpiredUserCannotReset
	case login.DirectorySilent, login.Timeout:
		return ctiqbe.ErrDirectoryLoginTimeout
	}
	return ctiqbe.ErrDirectoryTemporaryUnavailable
}

// Told is what a client may know of why its login failed: no more than the value says.
func Told(r login.Reason) string {
	switch r {
	case login.WrongCredentials:
		return "user name or password is wrong"
	case login.AccountLocked:
		return "the account is locked"
	case login.AccountDisabled:
		return "the account is disabled"
	case login.PasswordExpired:
		return "the password has expired, or must be changed: change it"
	case login.PasswordExpiredHard:
		return "the password has expired: an administrator has to change it"
	case login.DirectorySilent, login.Timeout:
		return "the login was not checked in time"
	}
	return "the directory cannot be asked at the moment"
}

// Settings are what a user's groups allow.
type Settings struct {
	CTI, Secure, SRTPKeys, AllDevices, Monitoring, Recording, ParkMonitoring, ModifyCalling bool
	ConnectedTransfer, Rollover                                                             bool
}

// SettingsOf are those of a user.
func SettingsOf(u *directory.User) Settings {
	return Settings{CTI: u.In(config.GroupCTIEnabled), Secure: u.In(config.GroupCTISecureConnection), SRTPKeys: u.ReceivesKeys(),
		AllDevices: u.In(config.GroupCTIAllDevices), Monitoring: u.In(config.GroupCTICallMonitoring), Recording: u.In(config.GroupCTICallRecording),
		ParkMonitoring: u.In(config.GroupCTICallPark), ModifyCalling: u.In(config.GroupCTICallingNumber),
		ConnectedTransfer: u.In(config.GroupCTIConnectedTransfer), Rollover: u.In(config.GroupCTIRollover)}
}

// String is the line of the field's trace.
func (s Settings) String() string {
	word := func(b bool) string {
		if b {
			return "Enabled"
		}
		return "Disabled"
	}
	return fmt.Sprintf("SuperProvider = %s CallParkRetrievalAllowed = %s ModifyCallingNumber = %s CTI Enabled = %s CallMonitor=%s CallRecord=%s", word(s.AllDevices),
		word(s.ParkMonitoring), word(s.ModifyCalling), word(s.CTI), word(s.Monitoring), word(s.Recording))
}
