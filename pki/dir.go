package pki

// Dir is a Custody in a folder: one file of mode 0600 per secret, in folders of mode 0700.
type Dir struct{ Custody }

// OpenDir opens or makes the folder.
func OpenDir(path string) (*Dir, error) { panic("soon") }

// FileRegister is a Register in one file, one JSON line per event, held in memory.
type FileRegister struct{ Register }

// OpenRegister opens or makes the file; an empty path keeps the register in memory only.
func OpenRegister(path string) (*FileRegister, error) { panic("soon") }
