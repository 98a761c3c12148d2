package phonexml

import (
	"strings"
	"time"
)

// zone is one of the names phones know a time zone by. They date from an operating system of 1995; a phone knows the rules of
// daylight saving time that its firmware was built with.
type zone struct {
	name    string
	minutes int  // standard time, east of Greenwich
	saving  bool // has daylight saving time
	south   bool // in the southern summer
	iana    string
}

// zones: names and minutes from the public list of elements; which IANA zones belong to them is ours. The first of several with
// the same rule stands for zones that are in no list.
var zones = []zone{
	{"Dateline Standard Time", -720, false, false, "Etc/GMT+12"},
	{"Samoa Standard Time", -660, false, false, "Pacific/Pago_Pago Pacific/Midway"},
	{"Hawaiian Standard Time", -600, false, false, "Pacific/Honolulu"},
	{"Alaskan Standard/Daylight Time", -540, true, false, "America/Anchorage America/Juneau"},
	{"Pacific Standard/Daylight Time", -480, true, false, "America/Los_Angeles America/Vancouver America/Tijuana"},
	{"Mountain Standard/Daylight Time", -420, true, false, "America/Denver America/Edmonton America/Boise"},
	{"US Mountain Standard Time", -420, false, false, "America/Phoenix"},
	{"Central Standard/Daylight Time", -360, true, false, "America/Chicago America/Winnipeg"},
	{"Canada Central Standard Time", -360, false, false, "America/Regina America/Costa_Rica America/Guatemala"},
	{"Mexico Standard/Daylight Time", -360, true, false, ""},
	{"Eastern Standard/Daylight Time", -300, true, false, "America/New_York America/Toronto America/Detroit"},
	{"SA Pacific Standard Time", -300, false, false, "America/Bogota America/Lima America/Panama"},
	{"US Eastern Standard Time", -300, false, false, "America/Indiana/Indianapolis America/Jamaica"},
	{"Atlantic Standard/Daylight Time", -240, true, false, "America/Halifax Atlantic/Bermuda"},
	{"SA Western Standard Time", -240, false, false, "America/La_Paz America/Caracas America/Puerto_Rico"},
	{"Pacific SA Standard Time", -240, true, true, "America/Santiago"},
	{"Newfoundland Standard/Daylight Time", -210, true, false, "America/St_Johns"},
	{"SA Eastern Standard Time", -180, false, false, "America/Argentina/Buenos_Aires America/Montevideo America/Bahia"},
	{"E. South America Standard/Daylight Time", -180, true, true, ""},
	{"Pacific SA Daylight Time", -180, false, false, ""},
	{"Mid-Atlantic Standard/Daylight Time", -120, true, false, ""},
	{"Azores Standard/Daylight Time", -60, true, false, "Atlantic/Azores"},
	{"GMT Standard/Daylight Time", 0, true, false, "Europe/London Europe/Dublin Europe/Lisbon"},
	{"Greenwich Standard Time", 0, false, false, "UTC Etc/UTC GMT Africa/Abidjan Africa/Accra Atlantic/Reykjavik"},
	{"W. Europe Standard/Daylight Time", 60, true, false, "Europe/Berlin Europe/Vienna Europe/Zurich Europe/Amsterdam Europe/Rome Europe/Stockholm Europe/Oslo"},
	{"Romance Standard/Daylight Time", 60, true, false, "Europe/Paris Europe/Madrid Europe/Brussels Europe/Copenhagen"},
	{"Central Europe Standard/Daylight Time", 60, true, false, "Europe/Prague Europe/Budapest Europe/Warsaw Europe/Belgrade Europe/Zagreb"},
	{"GTB Standard/Daylight Time", 120, true, false, "Europe/Athens Europe/Bucharest"},
	{"E. Europe Standard/Daylight Time", 120, true, false, "Europe/Helsinki Europe/Kyiv Europe/Riga Europe/Vilnius Europe/Tallinn Europe/Sofia"},
	{"South Africa Standard Time", 120, false, false, "Africa/Johannesburg Africa/Harare Africa/Maputo"},
	{"Egypt Standard/Daylight Time", 120, true, false, "Africa/Cairo"},
	{"Jerusalem Standard/Daylight Time", 120, true, false, "Asia/Jerusalem"},
	{"Saudi Arabia Standard Time", 180, false, false, "Asia/Riyadh Asia/Kuwait Asia/Baghdad Africa/Nairobi Europe/Istanbul"},
	{"Russian Standard/Daylight Time", 180, true, false, ""},
	{"Iran Standard/Daylight Time", 210, true, false, ""},
	{"Arabian Standard Time", 240, false, false, "Asia/Dubai Asia/Muscat"},
	{"Caucasus Standard/Daylight Time", 240, true, false, ""},
	{"Afghanistan Standard Time", 270, false, false, "Asia/Kabul"},
	{"West Asia Standard Time", 300, false, false, "Asia/Karachi Asia/Tashkent"},
	{"Ekaterinburg Standard Time", 300, false, false, "Asia/Yekaterinburg"},
	{"India Standard Time", 330, false, false, "Asia/Kolkata Asia/Calcutta Asia/Colombo"},
	{"Central Asia Standard Time", 360, false, false, "Asia/Dhaka Asia/Thimphu"},
	{"SE Asia Standard Time", 420, false, false, "Asia/Bangkok Asia/Jakarta Asia/Ho_Chi_Minh"},
	{"Taipei Standard Time", 480, false, false, "Asia/Taipei Asia/Singapore Asia/Kuala_Lumpur Asia/Manila Australia/Perth Asia/Shanghai Asia/Hong_Kong"},
	{"China Standard/Daylight Time", 480, true, false, ""},
	{"Tokyo Standard Time", 540, false, false, "Asia/Tokyo Asia/Seoul"},
	{"AUS Central Standard Time", 570, false, false, "Australia/Darwin"},
	{"Cen. Australia Standard/Daylight Time", 570, true, true, "Australia/Adelaide"},
	{"E. Australia Standard Time", 600, false, false, "Australia/Brisbane"},
	{"West Pacific Standard Time", 600, false, false, "Pacific/Guam Pacific/Port_Moresby"},
	{"AUS Eastern Standard/Daylight Time", 600, true, true, "Australia/Sydney Australia/Melbourne Australia/Canberra"},
	{"Tasmania Standard/Daylight Time", 600, true, true, "Australia/Hobart"},
	{"Central Pacific Standard Time", 660, false, false, "Pacific/Guadalcanal Pacific/Noumea"},
	{"Fiji Standard Time", 720, false, false, "Pacific/Fiji"},
	{"New Zealand Standard/Daylight Time", 720, true, true, "Pacific/Auckland"},
}

// TimeZone is the name under which phones know an IANA time zone: Europe/Berlin is "W. Europe Standard/Daylight Time". A zone
// that is in no list gets the name of one with the same offset and season in the given year; exact is false then. A zone for
// which there is none (Asia/Kathmandu) gets Greenwich time, and ok is false.
func TimeZone(iana string, year int) (name string, exact, ok bool) {
	for _, z := range zones {
		for _, have := range strings.Fields(z.iana) {
			if have == iana {
				return z.name, true, true
			}
		}
	}
	if loc, err := time.LoadLocation(iana); err == nil {
		_, january := time.Date(year, time.January, 15, 12, 0, 0, 0, loc).Zone()
		_, july := time.Date(year, time.July, 15, 12, 0, 0, 0, loc).Zone()
		for _, z := range zones {
			if z.minutes*60 == min(january, july) && z.saving == (january != july) && (!z.saving || z.south == (january > july)) {
				return z.name, false, true
			}
		}
	}
	return "Greenwich Standard Time", false, false
}
