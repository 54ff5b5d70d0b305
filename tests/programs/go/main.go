// A replicated key-value store: one replica, which agrees with the others by Raft.
//
// One goroutine receives, one sends, one watches for a silent leader, and a leader has one for each of its followers. The
// state of the replica is shared, under a mutex.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
)

const datagramMax = 65535

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintf(os.Stderr, "usage: %s <UDP port> <own ID> <ID of another> ...\n", os.Args[0])
		os.Exit(2)
	}
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatalf("the port: %v", err)
	}
	connection, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		log.Fatal(err)
	}
	outbox := make(chan Message, 1024)
	replica := NewReplica(os.Args[2], os.Args[3:], outbox)

	go sendAll(connection, outbox)
	outbox <- Message{Src: replica.id, Dst: everybody, Leader: nobody, Type: "hello"}
	go replica.watchLeader()
	receiveAll(connection, replica)
}

func sendAll(connection *net.UDPConn, outbox <-chan Message) {
	for message := range outbox {
		data, err := json.Marshal(message)
		if err != nil {
			log.Fatal(err)
		}
		// A datagram that the network refuses is lost like any other.
		_, _ = connection.Write(data)
	}
}

func receiveAll(connection *net.UDPConn, replica *Replica) {
	buffer := make([]byte, datagramMax)
	for {
		length, err := connection.Read(buffer)
		if err != nil {
			// The other side is gone for now; what was sent there is lost.
			continue
		}
		var message Message
		if err := json.Unmarshal(buffer[:length], &message); err == nil {
			replica.Receive(message)
		}
	}
}
