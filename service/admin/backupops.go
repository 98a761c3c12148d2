package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
)

// backupOperations hand out everything the node has, private keys included and in plain, to be sealed by whoever asked. So it is
// for the user that runs the node, who can read the files anyway, and no token is enough.
func (s *Server) backupOperations(api huma.API) {
	stream(s, api, operation{
		id: "backup", method: http.MethodPost, path: "/v1/backup", role: RoleAdministrator, action: "backup",
		summary: "The content of a backup, in plain: on the unix socket only; locktone backup seals it",
	}, "application/octet-stream", s.backup)
}

func (s *Server) backup(ctx context.Context, _ *none, w http.ResponseWriter) error {
	if who(ctx).source != "unix" {
		return problem(bus.CodeForbidden, "a backup carries the private keys of the authority: it is handed out on the unix socket only, to the user that runs the node; run locktone backup there")
	}
	if s.cfg.Backup == nil {
		return problem(CodeNotSupported, "this node does not make backups")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the request is read; a deadline would end a long answer
	return s.cfg.Backup(ctx, deadlineWriter{w, control})
}
