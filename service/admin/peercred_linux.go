package admin

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// peerOf asks the kernel who is at the other end of a unix connection: the user that runs the node, and root, are
// administrator.
func peerOf(c *net.UnixConn) principal {
	p := principal{name: "somebody", source: "unix"}
	raw, err := c.SyscallConn()
	if err != nil {
		return p
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return p
	}
	p.name = fmt.Sprintf("uid %d", cred.Uid)
	if int(cred.Uid) == os.Getuid() || cred.Uid == 0 {
		p.role = RoleAdministrator
	}
	return p
}
