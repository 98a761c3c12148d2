package phonexml

// Marshal writes a configuration file.
func Marshal(d *Device) ([]byte, error) { panic("soon") }

// Parse reads one, leniently.
func Parse(b []byte) (*Device, error) { panic("soon") }

// Short is the companion of an encrypted file.
func Short(d *Device) *Device { panic("soon") }

// Default is XMLDefault.cnf.xml.
type Default struct {
	Members []Member
	Loads   []ModelLoad
}

// ModelLoad names the firmware of one model.
type ModelLoad struct {
	Type  int    // device type number
	Model string // Cisco 8845
	Load  string
}

// MarshalDefault writes XMLDefault.cnf.xml.
func MarshalDefault(d *Default) ([]byte, error) { panic("soon") }

// ParseDefault reads it.
func ParseDefault(b []byte) (*Default, error) { panic("soon") }
