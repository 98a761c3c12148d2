package load

import (
	"fmt"
	"strconv"

	"github.com/locktone/locktone/config"
)

// FirstNumber is the number of device load20001 and so on in Site.
const FirstNumber = 20001

// Site is a site configuration with devices load20001, load20002, ... each with the line of that number, which may have many
// calls at once: what a load run against a site of one's own needs.
func Site(phones int) *config.Site {
	s := config.Default("node1")
	for n := FirstNumber; n < FirstNumber+phones; n++ {
		number := strconv.Itoa(n)
		s.Devices = append(s.Devices, config.Device{Name: fmt.Sprintf("load%d", n), Model: "load generator", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal", MaxCalls: 200, BusyTrigger: 200}}})
		s.Lines = append(s.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
	}
	return s.Canonical()
}
