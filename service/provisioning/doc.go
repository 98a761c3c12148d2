// Package provisioning serves phones their files: trust lists, configuration, and whatever an operator put into a folder.
//
// # One name space, three protocols
//
// TFTP on 69, HTTP on 6970 and HTTPS on 6971 serve the same names; they differ in nothing but that HTTPS answers a .sgn name with
// the bare file, since the connection already says who serves it. Resolve turns a name into a file class, without looking at
// anything: it is a table with a test. A library then finds the body:
//
//	name -> Resolve -> CTL, ITL           the variant that this phone can verify          pki/lists.Reader
//	                   CTLCAPF<address>   the same, for whoever will turn to CAPF there   pki/lists.Reader
//	                   <device>.cnf.xml   made from the site at this moment               directory, pki/capfprofile
//	                   XMLDefault.cnf.xml made from the site at this moment               directory
//	                   anything else      a file of the folder                            os.Root
//
// Nothing is made in advance and no content is cached, so the next request sees every change. What is cached is keyed by content:
// the signature of the same bytes under the same name by the same certificate.
//
// # What is said when there is nothing to say
//
// To a phone "no such file" is a statement: without a CTL the cluster is not secure. So that answer is given only for what does
// not exist. When a limit is reached or the store is away, TFTP stays silent (the phone asks again) and HTTP says 503.
//
// # What strangers get
//
// Everybody may ask: a phone that boots has nothing to prove itself with. So there is no secret in any file, configurations are
// encrypted to the phone's own certificate where it has one, names are never listed (ConfigFileCacheList.txt does not exist here, and
// cannot be put into the folder), paths cannot leave the folder, nothing can be written, and transfers, connections, bytes
// and time are bounded, in total and for each address.
//
// # What is remembered
//
// When a phone has acknowledged the last block of a trust list (or the body was written to its connection), pki/lists.Holdings
// learns which version it was sent, signed by whom: rotation asks that before it takes a certificate away.
package provisioning
