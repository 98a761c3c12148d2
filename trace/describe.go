package trace

func describeCall(recs []Record) (CallInfo, bool) { return CallInfo{}, false }
