package config

// Line is a directory number.
type Line struct {
	// Digits people dial, or \+ and digits.
	Number string `yaml:"number" json:"number"`
	// Partition of the number. Left out: everyone can reach it.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Calling search space of calls from this line; searched before the device's.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
	// Name shown to a caller while this line rings. Default: the display.
	AlertingName string `yaml:"alertingName" json:"alertingName,omitempty"`
	// Name shown to the other side of a call.
	Display string `yaml:"display" json:"display,omitempty"`
	// Number the line has outside, as a mask: X is a digit of the line's own number. Shown to trunks for calls of the line:
	// +49301234XXXX. Left out: the number inside.
	ExternalMask string `yaml:"externalMask" json:"externalMask,omitempty"`
	// Further numbers that reach the line, as masks: +49301234XXXX, or digits.
	AlternateNumbers []string `yaml:"alternateNumbers" json:"alternateNumbers,omitempty"`
	// Partition of the alternate numbers. Left out: that of the line.
	AlternatePartition string `yaml:"alternatePartition" json:"alternatePartition,omitempty"`
	// How long the line rings before the caller is told nobody answers. Default: 60s.
	NoAnswerTimeout Duration `yaml:"noAnswerTimeout" json:"noAnswerTimeout,omitempty"`
	// Where calls go instead of ringing here.
	Forwards Forwards `yaml:"forwards" json:"forwards,omitzero"`
	// Voicemail profile: where the line's mailbox is. None: it has none. Left out: the one named default, where there is one.
	VoicemailProfile string `yaml:"voicemailProfile" json:"voicemailProfile,omitempty"`
	// Whose calls the line's phones answer by themselves, over the loudspeaker: nobody's, those of this site, or everyone's. Everyone
	// is listed by `show exceptions`: whoever has the number can listen in. A phone in a call, or on do not disturb, rings.
	AutoAnswer AutoAnswer `yaml:"autoAnswer" json:"autoAnswer,omitempty"`
	// Pickup group that may answer this line's calls, and whose calls this line may answer. Left out: none.
	PickupGroup string `yaml:"pickupGroup" json:"pickupGroup,omitempty"`
	// Source that a party held or parked by this line hears. Left out: that of the device pool.
	MusicOnHold string `yaml:"musicOnHold" json:"musicOnHold,omitempty"`
	// Whether phones show that messages wait for the line. None: they are told that there are no messages.
	MessageLamp MessageLamp `yaml:"messageLamp" json:"messageLamp,omitempty"`
}

// Device is a phone, on a desk or in software.
type Device struct {
	// SEP and 12 hexadecimal digits for a desk phone (SEP001122334455), any
	// other name for a soft phone (alice). Its certificate must carry this name.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Protocol the phone speaks. For sccp this version writes the phone's configuration file, but the call manager does not speak
	// it yet: such a phone cannot register. A cti-port or cti-route-point is no phone but a place for an application, which registers it
	// by CTI, names where its media is (a route point may do without) and answers or redirects what comes: it has no file, no SIP and no
	// certificate of its own.
	Protocol Protocol `yaml:"protocol" json:"protocol,omitempty"`
	// Model, as people name it: 8845, softphone. A new site has ready files for its softphones. Default: softphone.
	Model string `yaml:"model" json:"model,omitempty"`
	// Device pool: music on hold.
	DevicePool string `yaml:"devicePool" json:"devicePool"`
	// Phone security profile. Left out: encrypted, with TLS and SRTP required.
	PhoneSecurityProfile string `yaml:"phoneSecurityProfile" json:"phoneSecurityProfile,omitempty"`
	// SIP profile. Left out: the defaults.
	SIPProfile string `yaml:"sipProfile" json:"sipProfile,omitempty"`
	// Calling search space of calls from this device; searched after the line's.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
	// Calling search space of the calling transformations that decide how the phone is shown numbers. What it is shown it should
	// be able to dial. Left out: the device pool's.
	CallingTransformationSearchSpace string `yaml:"callingTransformationSearchSpace" json:"callingTransformationSearchSpace,omitempty"`
	// Calling search space that decides which lines the device may watch by busy lamps. Left out: what its lines and itself may call.
	SubscribeCallingSearchSpace string `yaml:"subscribeCallingSearchSpace" json:"subscribeCallingSearchSpace,omitempty"`
	// User who owns the device. Takes effect with CTI and self care.
	Owner string `yaml:"owner" json:"owner,omitempty"`
	// User whose digest credentials the device shows, where its profile asks for them.
	DigestUser string `yaml:"digestUser" json:"digestUser,omitempty"`
	// What do not disturb does, once its user has turned it on (feature code): calls are refused as busy, or are shown without a sound.
	DoNotDisturb DNDOption `yaml:"doNotDisturb" json:"doNotDisturb,omitempty"`
	// Its calls are hidden from phones that share its lines: they can neither join nor take them over. Its user turns that on and off by a
	// feature code.
	Private bool `yaml:"private" json:"private,omitempty"`
	// Whether applications may control the device. No: neither those it is associated with, nor those that control all devices.
	AllowControlFromCTI CTIControl `yaml:"allowControlFromCTI" json:"allowControlFromCTI,omitempty"`
	// Lines on the device's buttons.
	Lines []Appearance `yaml:"lines" json:"lines,omitempty"`
	// Speed dials and busy lamps on the device's other buttons. A desk phone gets them in its file; a softphone has them in its contacts.
	Buttons []Button `yaml:"buttons" json:"buttons,omitempty"`
}

// Appearance is a line on a button of a device. The same line on several
// devices is a shared line.
type Appearance struct {
	// Number of the line.
	Number string `yaml:"number" json:"number"`
	// Partition of the line.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// Button, from 1; calls whose line is not named use the lowest. Default: the place in the list.
	Index int `yaml:"index" json:"index,omitempty"`
	// Text next to the button of a desk phone. Default: the number.
	Label string `yaml:"label" json:"label,omitempty"`
	// Most calls on the button at the same time: one more that begins there is refused. Default: 4.
	MaxCalls int `yaml:"maxCalls" json:"maxCalls,omitempty"`
	// Number of calls at which the line is busy for further ones. Default: 2, at most maxCalls.
	BusyTrigger int `yaml:"busyTrigger" json:"busyTrigger,omitempty"`
	// This phone answers the line's calls by itself when somebody of this site calls, whatever the line says.
	AutoAnswer bool `yaml:"autoAnswer" json:"autoAnswer,omitempty"`
	// Whether applications may control the line on this device. No: they control the device's other lines.
	AllowControlFromCTI CTIControl `yaml:"allowControlFromCTI" json:"allowControlFromCTI,omitempty"`
}
