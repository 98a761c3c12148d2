// Package relay forwards RTP and RTCP between two of our own ports, in clear or as SRTP, each side with its own keys.
//
// A Port is one leg's pair of sockets. Two ports are connected with each other; what one receives the other sends:
//
//	peer A <--SRTP, A's keys--> [ Port A ]<--->[ Port B ] <--RTP--> peer B
//
// Before a packet is passed on it must be what was agreed: where SRTP was agreed it must authenticate and be no replay,
// and where plain RTP was agreed it must come from the address the peer signalled. All else is counted and dropped.
// Packets of one leg never wait for another leg's peer.
//
// The sockets are read by a few threads with epoll (Linux) because a goroutine per socket costs half as much again per
// packet; nothing is allocated per packet.
package relay
