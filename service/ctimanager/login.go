package ctimanager

import (
	"fmt"
	"time"

	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// The login of an application: PROVIDER_INIT, PROVIDER_OPEN, answered at once; then the password is looked at, the user's settings, and on
// the TLS port the certificate; PROVIDER_OPEN_COMPLETED says what came of it. Every step is in the trace under the name it has there in
// the field.

// A refusal is why a login fails: the value for the client, and a sentence for people.
type refusal struct {
	result ctiqbe.Result
	why    string
	// hold is how long the answer is held back: a client that tries again at once is no quicker than that.
	hold time.Duration
}

// handleInit answers PROVIDER_INIT_REQUEST: with what a password is to be encrypted with. Without nonce and certificate a client sends a
// password that nobody can read, so both are sent on either port.
func (p *provider) handleInit(m *ctiqbe.ProviderInitRequest) {
	switch {
	case p.state != stateInit:
		p.fail(m.SequenceNumber, ctiqbe.ErrProviderAlreadyOpen, "the provider was initialised before")
		return
	case p.who.full:
		p.fail(m.SequenceNumber, ctiqbe.ErrMaxNumberOfCTIConnectionsReached, fmt.Sprintf("%d applications are connected, the most that are allowed", p.world.site().params.Connections))
		p.end()
		return
	}
	p.remark(trace.Info, fmt.Sprintf("CTI ProviderInitRequest ( seq#=%d provider=%s version=%s application=%s plugin=%s)", m.SequenceNumber, m.Provider, m.QBEClientVersion,
		m.ApplicationID, m.PluginName))
	p.state = stateAwait
	p.send(&ctiqbe.ProviderInitResponse{SequenceNumber: m.SequenceNumber, ProviderInfo: providerInfo, PluginVersion: pluginVersion, ProviderID: p.id(),
		Nonce: p.who.nonce, Certificate: p.world.certificate()})
}

// What the CTI manager says of itself, in the shape clients parse: the release whose protocol this is.
const (
	providerInfo  = "15.0.1.10000-1"
	pluginVersion = "15.0(0.10000)-1"
)

// end ends the connection without a word more.
func (p *provider) end() {
	p.state = stateClosed
	p.do(finish{})
}

// id is the provider's number in the site: node in the upper byte, connection below.
func (p *provider) id() uint32 {
	return p.world.site().nodes.of(p.who.node)<<24 | p.who.number&0xffffff
}

// handleOpen answers PROVIDER_OPEN_REQUEST at once and begins the login.
func (p *provider) handleOpen(m *ctiqbe.ProviderOpenRequest) {
	switch p.state {
	case stateInit:
		p.fail(m.SequenceNumber, ctiqbe.ErrNotInitialized, "the provider was not initialised: send PROVIDER_INIT_REQUEST first")
		return
	case stateAwait:
	default:
		p.fail(m.SequenceNumber, ctiqbe.ErrProviderAlreadyOpen, "the provider is open, or its login is under way")
		return
	}
	p.application = application{Name: m.Provider, ClientVersion: m.QBEClientVersion, ID: m.ApplicationID, Plugin: m.PluginName, Login: m.Login,
		Old: m.RequestOldDeviceLineFetch, Sequence: m.SequenceNumber}
	p.filter = m.Filter
	p.traceOpen(m)
	beat := p.world.site().params.clamp(m.DesiredServerHeartbeatTime)
	p.clientBeat, p.serverBeat = beat, beat
	p.send(&ctiqbe.ProviderOpenResponse{SequenceNumber: m.SequenceNumber, ProviderInfoString: providerInfo, ClientHeartbeat: seconds(p.clientBeat),
		ServerHeartbeat: seconds(p.serverBeat), RequestTimer: m.RequestTimer, PluginVersion: pluginVersion, ProviderID: p.id()})
	p.remark(trace.Info, fmt.Sprintf("[CTI-APP] [CTIHandler::OutputCtiMessage ] CTI ProviderOpenResponse (seq#=%d) provider id=%d FIPMode = 0", m.SequenceNumber, p.id()))
	p.state = stateProceed
	p.proceed(m)
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// traceOpen records the request as the field does, without the password.
func (p *provider) traceOpen(m *ctiqbe.ProviderOpenRequest) {
	p.remark(trace.Info, fmt.Sprintf("[CTI-APP] [CTIHandler::processIncomingMessage] CTI ProviderOpenRequest ( seq#=%d provider=%s login=%s heartbeat=%d timer=%d priority=%d "+
		"lightWeightProviderOpen=%d AuthType=%d RequestOldFetch=%d EncryptedSSODataSize=%d)", m.SequenceNumber, m.Provider, m.Login, m.DesiredServerHeartbeatTime, m.RequestTimer,
		m.ApplicationPriority, bit(m.LightWeightOpen), m.AuthenticationType, bit(m.RequestOldDeviceLineFetch), len(m.EncryptedSingleSignOnData)))
	p.remark(trace.Info, fmt.Sprintf("CtiProviderOpenReq |%v| Async Response=%d ProviderName=%s ClientVersion=%s LoginId=%s ApplName=%s ServerHeartbeat=%d CMAssignedAppId=%d PluginName=%s",
		p.state, m.SequenceNumber, m.Provider, m.QBEClientVersion, m.Login, m.ApplicationID, m.DesiredServerHeartbeatTime, m.CMAssignedApplicationID, m.PluginName))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// proceed has the password looked at.
func (p *provider) proceed(m *ctiqbe.ProviderOpenRequest) {
	p.remark(trace.Info, fmt.Sprintf("CtiProceedWithAppLogin |%v", p.state))
	if m.AuthenticationType != ctiqbe.AuthenticationTypeUserName {
		result, why := ctiqbe.ErrSSODisabled, "single sign-on is not available: log in with user name and password"
		if m.AuthenticationType > ctiqbe.AuthenticationTypeSingleSignOnOAuth {
			result, why = ctiqbe.ErrInvalidAuthenticationType, fmt.Sprintf("there is no authentication type %d", m.AuthenticationType)
		}
		p.refuse(refusal{result: result, why: why})
		return
	}
	p.state = stateLogin
	p.remark(trace.Info, fmt.Sprintf("CtiLoginCheckReq |ready| Login=%s Seq#=%d Auth Style=%d 3rd Party Certificate=0", m.Login, m.SequenceNumber, m.AuthenticationType))
	p.errand(loginChecked{}, checkLogin{user: m.Login, password: m.Password, key: m.EncryptedKeyData, nonce: p.who.nonce, from: p.who.remote})
}

// loginChecked goes on with what the directory says.
type loginChecked struct{}

func (loginChecked) finish(p *provider, a asked) {
	if p.state != stateLogin {
		return
	}
	r, ok := a.Value.(checkedLogin)
	if !ok {
		r = checkedLogin{refusal: &refusal{result: ctiqbe.ErrDirectoryTemporaryUnavailable, why: "the login could not be checked"}}
	}
	text := "Success"
	if r.refusal != nil {
		text = r.refusal.result.String()
	}
	p.remark(trace.Info, fmt.Sprintf("CtiLoginCheckRes |%v| Seq#=%d result=%s LoginUserID= Expire days=%d", p.state, p.application.Sequence, text, r.days))
	if r.refusal != nil {
		p.refuse(*r.refusal)
		return
	}
	p.user, p.application.Days = r.user, r.days
	p.state = stateVerify
	p.verify()
}

// verify looks at the user's settings; on the TLS port the certificate comes next.
func (p *provider) verify() {
	p.remark(trace.Info, fmt.Sprintf("CtiUserSettingsReq |ready| mUserId=%s", p.user))
	settings, no := mayLogIn(p.world.site(), p.user, p.who.secure)
	p.rights = settings
	result := uint32(0)
	if no != nil {
		result = uint32(no.result)
	}
	p.remark(trace.Info, fmt.Sprintf("CtiUserSettingsRes |%v| %v Userid = %s result=%d", p.state, settings, p.user, result))
	p.remark(trace.Info, fmt.Sprintf("[CTI-INFO] [CTIHandler::verifying_CtiUserSettingsRes] mCtiUserSettings.mbSecurityEnabled=%d", bit(settings.Secure)))
	p.remark(trace.Info, fmt.Sprintf("[CTI-INFO] [CTIHandler::verifying_CtiUserSettingsRes] mListenPort=%d", portOf(p.who.secure)))
	switch {
	case no != nil:
		p.refuse(*no)
	case p.who.secure:
		p.errand(certificateChecked{}, checkCertificate{user: p.user})
	default:
		p.ready()
	}
}

// certificateChecked goes on with what is known of the certificate.
type certificateChecked struct{}

func (certificateChecked) finish(p *provider, a asked) {
	if p.state != stateVerify {
		return
	}
	r, ok := a.Value.(*refusal)
	switch {
	case a.Err != nil || !ok:
		p.refuse(refusal{result: ctiqbe.ErrDBError, why: fmt.Sprintf("what is known of the certificate cannot be read: %v", a.Err)})
	case r != nil:
		p.refuse(*r)
	default:
		p.ready()
	}
}

// ready completes the login.
func (p *provider) ready() {
	p.state = stateReady
	p.do(opened{})
	p.remark(trace.Info, fmt.Sprintf("[CTI-INFO] [CTIHandler::verifying_CtiUserSettingsRes] sent providerSubscriptionRegNotify for user %s", p.user))
	controlled := p.controlled()
	p.send(&ctiqbe.ProviderOpenCompletedEvent{SequenceNumber: p.application.Sequence, ProviderInfoString: providerInfo, ClientHeartbeat: seconds(p.clientBeat),
		ServerHeartbeat: seconds(p.serverBeat), MonitorCallParkDNs: p.rights.ParkMonitoring, ProviderID: p.id(), LoginUserName: p.user,
		DaysUntilPasswordExpiry: p.application.Days, TotalControllableDevices: uint32(len(controlled)), ClusterID: p.world.site().Cluster().Name})
	for _, d := range controlled {
		p.told[d.Name] = true
	}
}

// refuse says that the login failed; when the refusal is to be held back, later.
func (p *provider) refuse(r refusal) {
	if r.hold > 0 {
		p.state, p.heldBack, p.deadlineIn = stateHeldBack, &r, p.now.Add(r.hold)
		p.remark(trace.Info, fmt.Sprintf("the answer is held back for %v: %s", r.hold, r.why))
		return
	}
	p.refuseNow(r)
}

func (p *provider) refuseNow(r refusal) {
	p.remark(trace.Error, fmt.Sprintf("CTI ProviderOpenCompletedEvent ( reason=%v (%#x) login=%s) %s", r.result, uint32(r.result), p.application.Login, r.why))
	p.send(&ctiqbe.ProviderOpenCompletedEvent{Reason: r.result, SequenceNumber: p.application.Sequence, ProviderInfoString: providerInfo,
		ClientHeartbeat: seconds(p.clientBeat), ServerHeartbeat: seconds(p.serverBeat), FailureDescription: r.why, ProviderID: p.id(), LoginUserName: p.application.Login})
	p.close(ctiqbe.ProviderCloseReasonProviderOpenFailure, r.why)
}

// late ends a login that takes too long.
func (p *provider) late() {
	switch p.state {
	case stateInit:
		p.remark(trace.Info, "nothing was said in time")
		p.end()
	case stateAwait:
		p.remark(trace.Error, "PROVIDER_OPEN_REQUEST did not come in time")
		p.close(ctiqbe.ProviderCloseReasonProviderOpenFailure, "no login in time")
	default:
		p.refuseNow(refusal{result: ctiqbe.ErrDirectoryLoginTimeout, why: "the login was not checked in time"})
	}
}

// handleClose answers PROVIDER_CLOSE_REQUEST.
func (p *provider) handleClose(m *ctiqbe.ProviderCloseRequest) {
	p.remark(trace.Info, fmt.Sprintf("CTI ProviderCloseRequest ( seq#=%d)", m.SequenceNumber))
	p.send(&ctiqbe.ProviderCloseResponse{SequenceNumber: m.SequenceNumber})
	p.end()
}

// handleCapabilities answers PROVIDER_GET_CAPABILITIES_INFO_REQUEST.
func (p *provider) handleCapabilities(m *ctiqbe.ProviderGetCapabilitiesInfoRequest) {
	p.send(&ctiqbe.ProviderGetCapabilitiesInfoResponse{SequenceNumber: m.SequenceNumber, ProviderCapabilitiesInfo: p.capabilities()})
}

func (p *provider) capabilities() ctiqbe.ProviderCapabilitiesInfo {
	r := p.rights
	return ctiqbe.ProviderCapabilitiesInfo{ControlAnyDevice: r.AllDevices, MaxNumberOfDevicesOpen: uint32(p.world.site().params.Devices), MonitorParkDN: r.ParkMonitoring,
		ModifyCallingParty: r.ModifyCalling, AllowCallMonitoring: r.Monitoring, AllowCallRecording: r.Recording, CanAutoPickup: true}
}

// handleProviderFilter answers PROVIDER_CHANGE_EVENT_FILTER_REQUEST.
func (p *provider) handleProviderFilter(m *ctiqbe.ProviderChangeEventFilterRequest) {
	p.filter = m.Filter
	p.send(&ctiqbe.ProviderChangeEventFilterResponse{SequenceNumber: m.SequenceNumber})
}
