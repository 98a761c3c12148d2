package config

// Parse reads a site file. name is the file's name for messages. current, which
// may be nil, is the site in force: a password that it already knows keeps its
// hash, so that loading the same file twice changes nothing. The error is an
// Errors with every mistake of the file, and then there is no site.
func Parse(name string, data []byte, current *Site) (*Site, error) { panic("in work") }

// Load reads a site file from disk; see Parse.
func Load(path string, current *Site) (*Site, error) { panic("in work") }

// Check looks for names out of shape, references to nothing, values out of
// range and contradictions. The error is an Errors.
func (s *Site) Check() error { panic("in work") }

// ParseNode reads a node's configuration; the error is an Errors.
func ParseNode(name string, data []byte) (*NodeConfig, error) { panic("in work") }

// LoadNode reads a node's configuration from disk.
func LoadNode(path string) (*NodeConfig, error) { panic("in work") }

// Format writes the site as a file Parse reads. Hashes of passwords are written
// only when reveal is set; otherwise those fields are left out.
func Format(s *Site, reveal bool) []byte { panic("in work") }

// Default is the site a new cluster starts with: node1 with every service, two
// soft phones alice (1001) and bob (1002), test numbers for echo (9196), tone
// (9197) and music (9664). It passes Check.
func Default(node string) *Site { panic("in work") }
