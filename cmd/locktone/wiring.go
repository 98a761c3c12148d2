package main

// wiring connects the commands to the packages that do the work. It belongs to whoever assembles the services: StartSite
// and Demos come from package lab and the services, Load from the load generator.
func wiring() services {
	return services{}
}
