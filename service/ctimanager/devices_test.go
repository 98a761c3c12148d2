package ctimanager

import (
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// ready is a provider that has logged in.
func ready() *kit {
	k := newKit(true)
	k.login()
	return k
}

// TestDevice: open, in service, line, calls it has, filters, close.
func TestDevice(t *testing.T) {
	k := ready()
	expect(t, "device", k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "alice"}), "watch{device:alice}", "< DeviceOpenResponse SequenceNumber=3 CallManagerID=1 DeviceID=3",
		"< DeviceInServiceEvent DeviceCallManagerID=1 DeviceID=3 Locale=ENGLISH_UNITED_STATES SupportedEncoding=CTI_UCS2UNICODE_ENCODING DNDOption=CALL_REJECT")
	expect(t, "again", k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "alice"}), "Result=CTIERR_DEVICE_ALREADY_OPENED")
	expect(t, "line", k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"}), "< LineOpenResponse SequenceNumber=5 LineCallManagerID=1 LineID=4",
		"< LineInServiceEvent LineCallManagerID=1 LineID=4", "snapshot{device:alice line:{Number:1001 Partition:internal}}")
	expect(t, "an event from before", k.step(happened{projection.Event{Kind: projection.NewCall, Device: "alice", Line: call.LineID{Number: "1001", Partition: "internal"}}}))
	expect(t, "snapshot", k.step(existing{device: "alice", line: call.LineID{Number: "1001", Partition: "internal"}}), "< LineExistingCallCompletedEvent LineCallManagerID=1 LineID=4")
	expect(t, "the line again", k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"}), "Result=CTIERR_LINE_ALREADY_OPENED")
	expect(t, "filters", append(k.say(&ctiqbe.LineChangeEventFilterRequest{LineCallManagerID: 1, LineID: 4}), k.say(&ctiqbe.DeviceChangeEventFilterRequest{CallManagerID: 1, DeviceID: 3})...),
		"< LineChangeEventFilterResponse SequenceNumber=7 LineCallManagerID=1 LineID=4", "< DeviceChangeEventFilterResponse SequenceNumber=8 CallManagerID=1 DeviceID=3")
	delete(k.at, "alice")
	expect(t, "unregistered", k.step(registered{"alice"}), "< LineOutOfServiceEvent LineCallManagerID=1 LineID=4 Reason=DEVICE_UNREGISTERED",
		"< DeviceOutOfServiceEvent DeviceCallManagerID=1 DeviceID=3 Reason=DEVICE_UNREGISTERED", `< DeviceUnregisteredEvent DeviceInfo={Name="alice"`)
	k.at["alice"] = place{Node: "node2"}
	expect(t, "registered", k.step(registered{"alice"}), "< DeviceInServiceEvent", "< LineInServiceEvent", `< DeviceRegisteredEventWithLineInfo DeviceName="alice" ControlModeBitMap=CONTROLLED`)
	k.at["alice"] = place{Node: "node1"}
	expect(t, "moved", k.step(registered{"alice"}), "< LineOutOfServiceEvent LineCallManagerID=1 LineID=4 Reason=REHOME_TO_HIGHER_PRIORITY_CM", "< DeviceOutOfServiceEvent",
		"< DeviceInServiceEvent", "< LineInServiceEvent", "< DeviceRegisteredEventWithLineInfo")
	expect(t, "state", k.say(&ctiqbe.DeviceGetDeviceStateRequest{CallManagerID: 1, DeviceID: 3}), "< DeviceGetDeviceStateResponse")
	expect(t, "close", k.say(&ctiqbe.DeviceCloseRequest{CallManagerID: 1, DeviceID: 3}), "unwatch{device:alice}", "< DeviceCloseResponse")
	expect(t, "its handles are gone", append(k.say(&ctiqbe.DeviceCloseRequest{CallManagerID: 1, DeviceID: 3}), k.say(&ctiqbe.LineCloseRequest{LineCallManagerID: 1, LineID: 4})...),
		"Result=ILLEGAL_HANDLE", "Result=INVALID_LINE_HANDLE")
	expect(t, "a device nobody sees now", k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "bob"}), "watch", "< DeviceOpenResponse", "< DeviceOutOfServiceEvent")
}

func TestDeviceRefused(t *testing.T) {
	k := ready()
	for device, want := range map[string]string{"carol": "Result=CTIERR_ACCESS_TO_DEVICE_DENIED", "nobody": "Result=CTIERR_INVALID_DEVICE_NAME", "": "Result=CTIERR_INVALID_DEVICE_NAME"} {
		expect(t, device, k.say(&ctiqbe.DeviceOpenRequest{DeviceName: device}), want)
	}
	expect(t, "a line of a device that is not open", k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001"}), "Result=DEVICE_NOT_OPEN")
	k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "alice"})
	expect(t, "a line it has not", k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1002", Partition: "internal"}), "Result=UNDEFINED_LINE")
	k.change(func(c *config.Site) { c.Devices[0].Lines[0].AllowControlFromCTI = config.CTIControlRefused })
	expect(t, "a line that does not allow it", k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"}), "Result=CTIERR_LINE_RESTRICTED")
	k.change(func(c *config.Site) { c.Devices[1].AllowControlFromCTI = config.CTIControlRefused })
	expect(t, "a device that does not", k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "bob"}), "Result=CTIERR_DEVICE_RESTRICTED")
}

// TestEnumeration: the newer and the older way name the same devices and lines.
func TestEnumeration(t *testing.T) {
	k := ready()
	expect(t, "282", k.say(&ctiqbe.ProviderGetAllDevicesAndLinesRequest{}), "< ProviderGetAllDevicesAndLinesResponse SequenceNumber=3",
		`< DeviceLineInfoEvent RequestID=3 DeviceName="alice" DeviceRegistrationStatus=REGISTERED ControlModeBitMap=CONTROLLED`, `DeviceName="bob" DeviceRegistrationStatus=UNREGISTERED`,
		"< ProviderGetAllDevicesAndLinesCompletedEvent RequestID=3")
	expect(t, "285", k.say(&ctiqbe.ProviderGetSingleDeviceAndLinesRequest{DeviceName: "bob"}), "Response", `DeviceName="bob"`, "< ProviderGetSingleDeviceAndLinesCompletedEvent RequestID=4")
	expect(t, "285 of another", k.say(&ctiqbe.ProviderGetSingleDeviceAndLinesRequest{DeviceName: "carol"}), "Result=CTIERR_ACCESS_TO_DEVICE_DENIED")
	expect(t, "13", k.say(&ctiqbe.ProviderGetDeviceInfoRequest{DeviceGroup: ctiqbe.DeviceGroupControlled}), "< ProviderGetDeviceInfoResponse SequenceNumber=6 EnumerationHandle=3")
	expect(t, "94", k.say(&ctiqbe.GetDeviceInfoFetchRequest{EnumerationHandle: 3, Count: 1}), `Info=[{Name="alice"`)
	expect(t, "94", k.say(&ctiqbe.GetDeviceInfoFetchRequest{EnumerationHandle: 3, Count: 9}), `Info=[{Name="bob"`)
	expect(t, "96", append(k.say(&ctiqbe.GetDeviceInfoCloseRequest{EnumerationHandle: 3}), k.say(&ctiqbe.GetDeviceInfoCloseRequest{EnumerationHandle: 3})...), "< GetDeviceInfoCloseResponse", "Result=ILLEGAL_HANDLE")
	expect(t, "24", k.say(&ctiqbe.DeviceGetLineInfoRequest{DeviceName: "alice"}), "EnumerationHandle=4")
	expect(t, "98", k.say(&ctiqbe.GetLineInfoFetchRequest{EnumerationHandle: 4}), `Info=[{Name="1001" DisplayName="Alice"`)
	expect(t, "145", k.say(&ctiqbe.ProviderGetMonitorDNInfoRequest{}), "MonitorDNEnumerationHandle=5")
	expect(t, "147", k.say(&ctiqbe.GetMonitorDNFetchRequest{EnumerationHandle: 5, Count: 3}), "< GetMonitorDNFetchResponse")
	for range maxLists {
		k.say(&ctiqbe.ProviderGetDeviceInfoRequest{})
	}
	expect(t, "too many", k.say(&ctiqbe.ProviderGetDeviceInfoRequest{}), "Result=TEMPORARY_FAILURE")
}

// TestLongEnumeration: many devices are told in pieces, each when the client has taken the one before.
func TestLongEnumeration(t *testing.T) {
	k := newKit(true)
	k.change(func(c *config.Site) {
		u := &c.Users[len(c.Users)-1]
		for i := range 200 {
			name := string(rune('a'+i/26)) + string(rune('a'+i%26)) + "-phone"
			c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default"})
			u.Devices = append(u.Devices, name)
		}
	})
	k.login()
	told := len(k.say(&ctiqbe.ProviderGetAllDevicesAndLinesRequest{}))
	pieces := 1
	for {
		n := len(k.step(drained{}))
		if n == 0 {
			break
		}
		told += n
		pieces++
	}
	if told != 1+202+1 || pieces < 4 {
		t.Errorf("%d messages in %d pieces", told, pieces)
	}
}

// TestChanges: what changes while an application is logged in.
func TestChanges(t *testing.T) {
	user := func(c *config.Site) *config.User { return &c.Users[len(c.Users)-1] }
	k := ready()
	k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "alice"})
	k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"})
	revise := func(f func(*config.Site)) []string {
		k.change(f)
		return k.step(revised{})
	}
	expect(t, "nothing for it", revise(func(c *config.Site) { c.Lines[0].Display = "x" }))
	expect(t, "a device more", revise(func(c *config.Site) { user(c).Devices = append(user(c).Devices, "carol") }), `< ProviderUserChangedEvent TypeOfNotification=DEVICEADD DeviceInfo={Name="carol"`)
	expect(t, "and away", revise(func(c *config.Site) { user(c).Devices = []string{"alice", "bob"} }), `< ProviderUserChangedEvent TypeOfNotification=DEVICEREMOVE DeviceInfo={Name="carol"`)
	expect(t, "more rights", revise(func(c *config.Site) {
		user(c).Groups = append(user(c).Groups, config.GroupCTIAllDevices, config.GroupCTICallPark)
	}),
		"TypeOfNotification=SUPERPROVIDERCHANGED ProviderCapabilitiesInfo={ControlAnyDevice=true", "TypeOfNotification=PARKDNMONITORCHANGED")
	expect(t, "fewer", revise(func(c *config.Site) { user(c).Groups = user(c).Groups[:2] }), "TypeOfNotification=SUPERPROVIDERCHANGED ProviderCapabilitiesInfo={Max", "TypeOfNotification=PARKDNMONITORCHANGED")
	expect(t, "the line is restricted", revise(func(c *config.Site) { c.Devices[0].Lines[0].AllowControlFromCTI = config.CTIControlRefused }),
		"< LineClosedEvent LineCallManagerID=1 LineID=4 Reason=LINE_RESTRICTED")
	expect(t, "the device is restricted", revise(func(c *config.Site) { c.Devices[0].AllowControlFromCTI = config.CTIControlRefused }),
		"< DeviceClosedEvent DeviceCallManagerID=1 DeviceID=3 Reason=DEVICE_RESTRICTED", "unwatch")
	k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "bob"})
	expect(t, "an open device goes", revise(func(c *config.Site) { user(c).Devices = []string{"alice"} }), "< DeviceClosedEvent DeviceCallManagerID=1 DeviceID=5 Reason=DEVICE_REMOVED", "unwatch",
		`TypeOfNotification=DEVICEREMOVE DeviceInfo={Name="bob"`)
	expect(t, "not secure any more", revise(func(c *config.Site) { user(c).Groups = user(c).Groups[:1] }), "< ProviderClosedEvent Reason=UNAUTHORIZEDFORTLS", "finish{}")
	k = ready()
	expect(t, "no CTI any more", revise(func(c *config.Site) { user(c).Groups = nil }), "< ProviderClosedEvent Reason=STANDARD_CTI_ENABLED_PERMISSIONS_REMOVED", "finish{}")
	k = ready()
	expect(t, "deleted", revise(func(c *config.Site) { c.Users = c.Users[:len(c.Users)-1] }), "TypeOfNotification=USERDELETED", "< ProviderClosedEvent Reason=USERDELETED", "finish{}")
}
