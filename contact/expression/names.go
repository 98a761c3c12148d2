package expression

// CallNames are the names that conditions and texts of routing scripts know besides variables: the numbers and name of the call, and of a
// caller who waits the queue, the place in it from 1, the seconds waited, those likely still to come, and the same in minutes.
func CallNames() []string {
	return []string{"called", "calling", "display", "queue", "position", "waited", "estimate", "minutes"}
}

// QueueFunctions are their functions, each with the name of a queue: how many wait in it, how many of its agents are ready, how many are ready
// or at work, how many are logged in, how many seconds the one who is longest in it has waited, how many seconds one who came now would.
func QueueFunctions() []string {
	return []string{"waiting", "ready", "serving", "agents", "oldest", "estimate"}
}

// IsVariable says whether a routing script may set a variable of this name: a letter, then letters, digits and underscores, up to 60; those
// that begin with cc_ are the contact centre's own.
func IsVariable(name string) bool { return IsName(name) && (len(name) < 3 || name[:3] != "cc_") }

// IsName says whether something that expressions name can be called so: a letter, then letters, digits and underscores, up to 60, and none of
// the words of the language.
func IsName(name string) bool {
	if name == "" || len(name) > 60 || !letter(name[0]) || name[0] == '_' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !letter(c) && (c < '0' || c > '9') {
			return false
		}
	}
	switch name {
	case "and", "or", "not", "in", "contains", "begins", "true", "false":
		return false
	}
	return true
}
