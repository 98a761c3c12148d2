// Package dialoginfo reads and writes dialog information documents (RFC 4235): what a busy lamp and a shared line are told of the
// dialogs of somebody else.
//
//	<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="3" state="full" entity="sip:1002@example.com">
//	  <dialog id="17" call-id="f81d4fae" local-tag="a" remote-tag="b" direction="recipient">
//	    <state>confirmed</state>
//	    <local><target uri="sip:1002@example.com"><param pname="+sip.rendering" pvalue="no"/></target></local>
//	    <remote><identity display="Alice">sip:1001@example.com</identity></remote>
//	  </dialog>
//	</dialog-info>
//
// A document is complete (full) or holds what changed (partial); its version rises by one with every document of a subscription,
// beginning at 0, so that a watcher knows when it has missed one. No dialog at all means idle.
//
// "Local" is the element the notifier speaks for. Call-ID and both tags, where they are given, name a dialog that an INVITE with
// Replaces (RFC 3891) can take over: its to-tag is local-tag, its from-tag is remote-tag.
package dialoginfo
