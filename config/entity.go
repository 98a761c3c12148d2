package config

// Kind and Key of every entity.

// Kind implements Entity.
func (Cluster) Kind() Kind { return KindCluster }

// Key of the only cluster is "cluster", whatever its name.
func (Cluster) Key() string { return "cluster" }

// Kind implements Entity.
func (Node) Kind() Kind { return KindNode }

// Key is the name.
func (e Node) Key() string { return e.Name }

// Kind implements Entity.
func (CallManagerGroup) Kind() Kind { return KindCallManagerGroup }

// Key is the name.
func (e CallManagerGroup) Key() string { return e.Name }

// Kind implements Entity.
func (DevicePool) Kind() Kind { return KindDevicePool }

// Key is the name.
func (e DevicePool) Key() string { return e.Name }

// Kind implements Entity.
func (PhoneSecurityProfile) Kind() Kind { return KindPhoneSecurityProfile }

// Key is the name.
func (e PhoneSecurityProfile) Key() string { return e.Name }

// Kind implements Entity.
func (SIPProfile) Kind() Kind { return KindSIPProfile }

// Key is the name.
func (e SIPProfile) Key() string { return e.Name }

// Kind implements Entity.
func (SIPTrunkSecurityProfile) Kind() Kind { return KindSIPTrunkSecurityProfile }

// Key is the name.
func (e SIPTrunkSecurityProfile) Key() string { return e.Name }

// Kind implements Entity.
func (SIPTrunk) Kind() Kind { return KindSIPTrunk }

// Key is the name.
func (e SIPTrunk) Key() string { return e.Name }

// Kind implements Entity.
func (Partition) Kind() Kind { return KindPartition }

// Key is the name.
func (e Partition) Key() string { return e.Name }

// Kind implements Entity.
func (CallingSearchSpace) Kind() Kind { return KindCallingSearchSpace }

// Key is the name.
func (e CallingSearchSpace) Key() string { return e.Name }

// Kind implements Entity.
func (Line) Kind() Kind { return KindLine }

// Key is "number/partition".
func (e Line) Key() string { return e.Number + "/" + e.Partition }

// Kind implements Entity.
func (Device) Kind() Kind { return KindDevice }

// Key is the name.
func (e Device) Key() string { return e.Name }

// Kind implements Entity.
func (User) Kind() Kind { return KindUser }

// Key is the name.
func (e User) Key() string { return e.Name }

// Kind implements Entity.
func (RoutePattern) Kind() Kind { return KindRoutePattern }

// Key is "pattern/partition".
func (e RoutePattern) Key() string { return e.Pattern + "/" + e.Partition }

// Kind implements Entity.
func (TranslationPattern) Kind() Kind { return KindTranslationPattern }

// Key is "pattern/partition".
func (e TranslationPattern) Key() string { return e.Pattern + "/" + e.Partition }

// Kind implements Entity.
func (RouteGroup) Kind() Kind { return KindRouteGroup }

// Key is the name.
func (e RouteGroup) Key() string { return e.Name }

// Kind implements Entity.
func (RouteList) Kind() Kind { return KindRouteList }

// Key is the name.
func (e RouteList) Key() string { return e.Name }

// Kind implements Entity.
func (Applet) Kind() Kind { return KindApplet }

// Key is the name.
func (e Applet) Key() string { return e.Name }

// Kind implements Entity.
func (MusicOnHold) Kind() Kind { return KindMusicOnHold }

// Key is the name.
func (e MusicOnHold) Key() string { return e.Name }

// Kind implements Entity.
func (Schedule) Kind() Kind { return KindSchedule }

// Key is the name.
func (e Schedule) Key() string { return e.Name }

// Kind implements Entity.
func (CallingTransformation) Kind() Kind { return KindCallingTransformation }

// Key is "pattern/partition".
func (e CallingTransformation) Key() string { return e.Pattern + "/" + e.Partition }

// Kind implements Entity.
func (CalledTransformation) Kind() Kind { return KindCalledTransformation }

// Key is "pattern/partition".
func (e CalledTransformation) Key() string { return e.Pattern + "/" + e.Partition }
