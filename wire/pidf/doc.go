// Package pidf writes and reads the presence documents (RFC 3863) that busy lamps of desk phones are lit by: whether somebody can be
// reached (basic status), and what that person is doing (RFC 4480, in the person element of RFC 4479).
//
//	<presence xmlns="urn:ietf:params:xml:ns:pidf" ... entity="sip:1002@example.com">
//	  <dm:person id="p1002"><e:activities><e:on-the-phone/></e:activities></dm:person>
//	  <tuple id="t1002"><status><basic>open</basic></status></tuple>
//	</presence>
//
// RFC 4480 has no word for a phone that rings and none for do not disturb. The desk phones that know nothing but presence take the
// elements alerting and dnd of a name space of their maker for that; others leave them out.
package pidf
