package ctimanager

import (
	"fmt"
	"slices"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// An answer is what becomes of one request of the protocol: a handler answers it, or it is refused with an error of the protocol's own.
type answer struct {
	pdu    ctiqbe.PDU
	handle func(p *provider, m ctiqbe.Message)
	// refuse and why are the error of a request that is not supported; why is for people, and for docs/cti-answers.md.
	refuse ctiqbe.Result
	why    string
	// early says that it may come before the provider is open.
	early bool
}

// done is the answer of a handler for one type of request.
func done[M any, T interface {
	*M
	ctiqbe.Message
}](h func(*provider, T)) answer {
	return answer{pdu: T(new(M)).PDU(), handle: func(p *provider, m ctiqbe.Message) { h(p, m.(T)) }}
}

// early is done for what comes before the login.
func early[M any, T interface {
	*M
	ctiqbe.Message
}](h func(*provider, T)) answer {
	a := done(h)
	a.early = true
	return a
}

// refused is the answer to a request that is not supported.
func refused(pdu ctiqbe.PDU, with ctiqbe.Result, why string) answer {
	return answer{pdu: pdu, refuse: with, why: why}
}

// Sentences of refusals that several requests share.
const (
	whyLater    = "the call engine does not do it yet"
	whyResource = "conference and voice-response resources of an application's own do not exist here"
	whyReserved = "the number is reserved, and its fields were never seen"
	whyBIB      = "phones here have no built-in bridge"
	whyRemote   = "there are no CTI remote devices"
)

// answers is the whole protocol: every request, and who answers it. It is a table so that nothing can be left out: a test goes through all
// requests that package ctiqbe knows.
func answers() []answer {
	return slices.Concat(providerAnswers(), deviceAnswers(), lineAnswers(), callAnswers(), resourceAnswers())
}

func providerAnswers() []answer {
	return []answer{
		early((*provider).handleInit),
		early((*provider).handleOpen),
		early((*provider).handleClose),
		done((*provider).handleProviderFilter),
		done((*provider).handleCapabilities),
		done((*provider).handleAllDevices),
		done((*provider).handleOneDevice),
		done((*provider).handleDeviceList),
		done((*provider).handleDeviceFetch),
		done((*provider).handleDeviceFetched),
		done((*provider).handleLineList),
		done((*provider).handleLineFetch),
		done((*provider).handleLineFetched),
		done((*provider).handleSingleDevice),
		done((*provider).handleParkNumbers),
		done((*provider).handleParkFetch),
		done((*provider).handleParkFetched),
		done((*provider).handleAllocate),
		refused(ctiqbe.PDUProviderRegisterFeatureActivationRequest, ctiqbe.ErrRegisterFeatureActivationFailed, "features of an application's own cannot be dialled"),
		done((*provider).handleAcquire),
		done((*provider).handleDeacquire),
		done((*provider).handlePickupRegister),
		done((*provider).handlePickupUnregister),
	}
}

func deviceAnswers() []answer {
	return []answer{
		done((*provider).handleDeviceOpen),
		done((*provider).handleDeviceFilter),
		done((*provider).handleDeviceClose),
		done((*provider).handleDeviceState),
		done((*provider).handleDeviceConfig),
		done((*provider).handleRegister),
		done((*provider).handleMediaDefaults),
		done((*provider).handleMediaForCall),
		refused(ctiqbe.PDUDeviceDisplayStringRequest, ctiqbe.ErrCommandNotImplementedOnDevice, "phones here have no display that an application could write to"),
		refused(ctiqbe.PDUDeviceSetLampModeRequest, ctiqbe.ErrCommandNotImplementedOnDevice, "lamps follow the calls and the configuration"),
		refused(ctiqbe.PDUDeviceDataPassThroughRequest, ctiqbe.ErrCommandNotImplementedOnDevice, "SIP phones take no data of applications by signalling"),
		done((*provider).handleSnapshot),
		done((*provider).handleSetDND),
		done((*provider).handleGetDNDOption),
		done((*provider).handleHuntLog),
		refused(ctiqbe.PDUDeviceSetGetPortSupportRequest, ctiqbe.ErrFeatureNotAvailable, whyReserved),
	}
}

func lineAnswers() []answer {
	return []answer{
		done((*provider).handleLineOpen),
		done((*provider).handleLineFilter),
		done((*provider).handleLineClose),
		done((*provider).handleAutoAccept),
		done((*provider).handleLineInfo),
		done((*provider).handleMessageWaiting),
		done((*provider).handleSetForward),
		done((*provider).handleGetForward),
		refused(ctiqbe.PDULineSetRingerStatusRequest, ctiqbe.ErrCommandNotImplementedOnDevice, "how a phone rings is its user's"),
		refused(ctiqbe.PDULineIntercomSpeedDialInfoChangeRequest, ctiqbe.ErrIntercomSpeedDialDestinationInvalid, "no line is an intercom line"),
		refused(ctiqbe.PDULineCreatePersistentConnectionRequest, ctiqbe.ErrCreatePersistentConnectionFailed, whyRemote),
		refused(ctiqbe.PDULineDisconnectPersistentConnectionRequest, ctiqbe.ErrNoPersistentConnectionExists, whyRemote),
		refused(ctiqbe.PDULineStartAnnouncementRequest, ctiqbe.ErrPlayAnnouncementFailed, whyRemote),
	}
}

// resourceAnswers are those about things that do not exist here.
func resourceAnswers() []answer {
	return []answer{
		refused(ctiqbe.PDUDeviceAllocateMediaResourceRequest, ctiqbe.ErrResourceNotAvailable, whyResource),
		refused(ctiqbe.PDUDeviceDeallocateMediaResourceRequest, ctiqbe.ErrInvalidMediaResourceID, whyResource),
		refused(ctiqbe.PDUDeviceUpdateMediaResourceRequest, ctiqbe.ErrInvalidMediaResourceID, whyResource),
		refused(ctiqbe.PDUDeviceRemoveMediaConnectionRequest, ctiqbe.ErrInvalidMediaResourceID, whyResource),
		refused(ctiqbe.PDUDeviceExistingMediaResourceRequest, ctiqbe.ErrResourceNotAvailable, whyResource),
		refused(ctiqbe.PDUProviderUnregisterFeatureActivationRequest, ctiqbe.ErrRegisterFeatureActivationFailed, whyReserved),
		refused(ctiqbe.PDUProviderTimerChangeRequest, ctiqbe.ErrOperationNotAllowed, whyReserved),
		refused(ctiqbe.PDUProviderDeviceUpdateRemoteDestinationRequest, ctiqbe.ErrInvalidDeviceName, whyRemote),
		refused(ctiqbe.PDUProviderDeviceAddRemoteDestinationRequest, ctiqbe.ErrInvalidDeviceName, whyRemote),
		refused(ctiqbe.PDUProviderDeviceRemoveRemoteDestinationRequest, ctiqbe.ErrInvalidDeviceName, whyRemote),
	}
}

// callAnswers are those about calls: call control.
func callAnswers() []answer {
	return []answer{
		done((*provider).handleMakeCall),
		done((*provider).handleAccept),
		done((*provider).handleAnswer),
		refused(ctiqbe.PDUCallBlindConferenceRequest, ctiqbe.ErrConferenceFailed, "whoever is to come into a conference is called first (80, 43), and then joined (60, 174)"),
		done((*provider).handleBlindTransfer),
		refused(ctiqbe.PDUCallCloseRequest, ctiqbe.ErrOperationNotAllowed, "the handle of a call lasts as long as the call: end it (66), or close the line (41)"),
		done((*provider).handleCompleteConference),
		done((*provider).handleCompleteTransfer),
		refused(ctiqbe.PDUCallDialRequest, ctiqbe.ErrOperationNotAllowed, "a phone is rung to make a call when the number is known: name it in the request that makes the call"),
		done((*provider).handleDisconnect),
		done((*provider).handleDigits),
		refused(ctiqbe.PDUCallPlayToneRequest, ctiqbe.ErrInvalidTone, "phones here play no tones on request"),
		done((*provider).handleCallInfo),
		done((*provider).handleHold),
		done((*provider).handleRedirect),
		done((*provider).handleRetrieve),
		done((*provider).handleSetupConference),
		done((*provider).handleSetupTransfer),
		done((*provider).handlePark),
		done((*provider).handleUnpark),
		done((*provider).handleDirectTransfer),
		done((*provider).handleJoin),
		refused(ctiqbe.PDUCallIntercomTalkbackRequest, ctiqbe.ErrIntercomTalkbackFailure, "no line is an intercom line"),
		refused(ctiqbe.PDULineCallStartMonitoringRequest, ctiqbe.ErrStartMonitoringFailed, whyBIB),
		refused(ctiqbe.PDUCallStartRecordingRequest, ctiqbe.ErrStartRecordingFailed, whyBIB),
		refused(ctiqbe.PDUCallStopRecordingRequest, ctiqbe.ErrNoRecordingSession, whyBIB),
		done((*provider).handleDropParty),
		done((*provider).handlePickup),
		refused(ctiqbe.PDUCallStartSendMediaToBIBRequest, ctiqbe.ErrStartSendMediaToBIBFailed, whyBIB),
		refused(ctiqbe.PDUCallStopSendMediaToBIBRequest, ctiqbe.ErrNoSendMediaToBIBSession, whyBIB),
		refused(ctiqbe.PDULineCallMonitorUpdateRequest, ctiqbe.ErrMonitorUpdateFailed, whyBIB),
		refused(ctiqbe.PDUCallStopAnnouncementRequest, ctiqbe.ErrPlayAnnouncementFailed, whyRemote),
	}
}

// answerTable is answers by number, made once for each service.
type answerTable map[ctiqbe.PDU]answer

func newAnswerTable() answerTable {
	t := answerTable{}
	for _, a := range answers() {
		t[a.pdu] = a
	}
	return t
}

// receive answers a frame of the client.
func (p *provider) receive(r received) {
	if p.state == stateInit && r.header.PDU != 0 && !r.header.Version.Known() {
		p.fail(sequenceOf(r), ctiqbe.ErrIncompatibleProtocolVersion, fmt.Sprintf("protocol version %v: versions %v and %v are spoken here", r.header.Version, ctiqbe.Version11, ctiqbe.Version12))
		p.end()
		return
	}
	if r.header.Version.Known() {
		p.version = r.header.Version
	}
	if r.err != nil {
		p.fail(r.sequence, ctiqbe.ErrIllegalMessageFormat, r.err.Error())
		return
	}
	p.answer(r.message)
}

func sequenceOf(r received) uint32 {
	if r.message == nil {
		return r.sequence
	}
	n, _ := ctiqbe.Sequence(r.message)
	return n
}

// answer has a request answered by whoever answers it.
func (p *provider) answer(m ctiqbe.Message) {
	if _, ok := m.(*ctiqbe.Heartbeat); ok {
		return
	}
	seq, _ := ctiqbe.Sequence(m)
	a, known := p.table[m.PDU()]
	switch {
	case !known && m.PDU().Direction() == ctiqbe.FromServer:
		p.fail(seq, ctiqbe.ErrInvalidRequest, fmt.Sprintf("%v is for the CTI manager to send", m.PDU()))
	case !known:
		p.fail(seq, ctiqbe.ErrUnrecognizablePDU, fmt.Sprintf("PDU %d is not known", uint32(m.PDU())))
	case p.state != stateReady && !a.early:
		p.fail(seq, ctiqbe.ErrProviderNotOpen, fmt.Sprintf("%v before the provider is open", m.PDU()))
	case a.handle == nil:
		p.fail(seq, a.refuse, fmt.Sprintf("%v: %s", m.PDU(), a.why))
	default:
		a.handle(p, m)
	}
}
