// Package provisioning serves phones their files: trust lists, configuration, firmware and everything static.
package provisioning
