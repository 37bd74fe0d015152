// A client of another language and WebSocket library, with permessage-deflate asked for; prints what it sees.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/gorilla/websocket"
)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func main() {
	dialer := websocket.Dialer{EnableCompression: true}
	conn, response, err := dialer.Dial(os.Args[1], nil)
	must(err)
	fmt.Println("deflate:", strings.Contains(response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"))
	var message struct {
		Type string
		Data map[string]any
	}
	must(conn.ReadJSON(&message))
	fmt.Println(message.Type)
	must(conn.WriteJSON(map[string]any{"v": 1, "svc": "room", "type": "join", "room": "r"}))
	must(conn.ReadJSON(&message))
	fmt.Println(message.Type)
	for _, text := range []string{"short", strings.Repeat("long ", 500)} {
		must(conn.WriteJSON(map[string]any{"v": 1, "svc": "chat", "type": "send", "data": map[string]any{"msg": text}}))
		must(conn.ReadJSON(&message))
		fmt.Println(message.Type, message.Data["msg"] == text)
	}
	must(conn.WriteMessage(websocket.BinaryMessage, []byte{1, 1, 0, 0xde, 0xad}))
	_, frame, err := conn.ReadMessage()
	must(err)
	fmt.Printf("%x\n", frame)
	must(conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")))
	_, _, err = conn.ReadMessage()
	fmt.Println("closed:", websocket.IsCloseError(err, 1000))
}
