package cti

import "github.com/locktone/locktone/wire/ctiqbe"

// deviceEvents are the events of a device that this package understands.
func deviceEvents() ctiqbe.DeviceEventFilter {
	return ctiqbe.DeviceEventFilter{DeviceModeChanged: true, StartTransmission: true, StopTransmission: true, StartReception: true, StopReception: true,
		Snapshot: true, ReceptionKey: true, TransmissionKey: true, DNDChanged: true, DNDOptionChanged: true}
}

// lineEvents are the events of a line that this package understands.
func lineEvents() ctiqbe.LineEventFilter {
	return ctiqbe.LineEventFilter{CallStateChanged: true, DTMF: true, ToneChanged: ctiqbe.ToneFilterNoEvent, GlobalCallHandleChanged: true, PartyInfoChanged: true,
		ExistingCallEvent: true, NewCallEvent: true, LineCfwdAllStatus: true, TransferStarted: true, TransferEnded: true, TransferFailed: true,
		ConferenceStarted: true, ConferenceEnded: true, ConferenceFailed: true, ExistingCallCompleted: true, CallSecurityStatusUpdate: true,
		ParkStatusEvent: true}
}
