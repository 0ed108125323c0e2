package admin

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"google.golang.org/grpc"
	channelzv1 "google.golang.org/grpc/channelz/grpc_channelz_v1"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxSockets bounds the connections in one answer.
const maxSockets = 1000

// channelzHandler answers with what grpc knows of its servers. It asks grpc's own service, in the process.
type channelzHandler struct{ service channelzv1.ChannelzServer }

// RegisterService implements grpc.ServiceRegistrar: it keeps the service.
func (h *channelzHandler) RegisterService(_ *grpc.ServiceDesc, service any) {
	h.service, _ = service.(channelzv1.ChannelzServer)
}

func newChannelz() *channelzHandler {
	h := &channelzHandler{}
	channelz.RegisterChannelzServiceToServer(h)
	return h
}

// channelzServer is a server in the answer.
type channelzServer struct {
	ID             int64            `json:"id"`
	Listening      []string         `json:"listening,omitempty"`
	CallsStarted   int64            `json:"callsStarted"`
	CallsSucceeded int64            `json:"callsSucceeded"`
	CallsFailed    int64            `json:"callsFailed"`
	LastCall       *time.Time       `json:"lastCall,omitempty"`
	Connections    []channelzSocket `json:"connections"`
	// Next is where to go on with the connections, empty if these are all.
	Next string `json:"next,omitempty"`
}

// channelzSocket is a connection in the answer.
type channelzSocket struct {
	ID     int64  `json:"id"`
	Remote string `json:"remote,omitempty"`
	// Cipher is the cipher suite of TLS, empty in plaintext.
	Cipher           string     `json:"cipher,omitempty"`
	StreamsStarted   int64      `json:"streamsStarted"`
	StreamsSucceeded int64      `json:"streamsSucceeded"`
	StreamsFailed    int64      `json:"streamsFailed"`
	MessagesSent     int64      `json:"messagesSent"`
	MessagesReceived int64      `json:"messagesReceived"`
	KeepalivesSent   int64      `json:"keepalivesSent"`
	LastMessage      *time.Time `json:"lastMessage,omitempty"`
}

// ServeHTTP implements http.Handler.
func (h *channelzHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, err := strconv.ParseInt(r.URL.Query().Get("start"), 10, 64)
	if text := r.URL.Query().Get("start"); text != "" && (err != nil || start < 0) {
		answer(w, http.StatusBadRequest, "start: must be the number that next has\n")
		return
	}
	servers, err := h.servers(r, start)
	if err != nil {
		answer(w, http.StatusInternalServerError, "channelz does not answer\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(map[string]any{"servers": servers}) // A client that has gone needs no answer.
}

func (h *channelzHandler) servers(r *http.Request, start int64) ([]channelzServer, error) {
	found, err := h.service.GetServers(r.Context(), &channelzv1.GetServersRequest{})
	if err != nil {
		return nil, err
	}
	servers := []channelzServer{}
	for _, s := range found.GetServer() {
		data := s.GetData()
		made := channelzServer{
			ID: s.GetRef().GetServerId(), CallsStarted: data.GetCallsStarted(), CallsSucceeded: data.GetCallsSucceeded(),
			CallsFailed: data.GetCallsFailed(), LastCall: when(data.GetLastCallStartedTimestamp()), Connections: []channelzSocket{},
		}
		for _, l := range s.GetListenSocket() {
			made.Listening = append(made.Listening, l.GetName())
		}
		sockets, err := h.service.GetServerSockets(r.Context(), &channelzv1.GetServerSocketsRequest{
			ServerId: made.ID, StartSocketId: start, MaxResults: maxSockets,
		})
		if err != nil {
			return nil, err
		}
		for _, ref := range sockets.GetSocketRef() {
			socket, err := h.service.GetSocket(r.Context(), &channelzv1.GetSocketRequest{SocketId: ref.GetSocketId()})
			if err != nil {
				continue // It has been closed meanwhile.
			}
			made.Connections = append(made.Connections, socketOf(socket.GetSocket()))
			made.Next = strconv.FormatInt(ref.GetSocketId()+1, 10)
		}
		if sockets.GetEnd() {
			made.Next = ""
		}
		servers = append(servers, made)
	}
	return servers, nil
}

func socketOf(s *channelzv1.Socket) channelzSocket {
	data := s.GetData()
	made := channelzSocket{
		ID: s.GetRef().GetSocketId(), Cipher: s.GetSecurity().GetTls().GetStandardName(), StreamsStarted: data.GetStreamsStarted(), StreamsSucceeded: data.GetStreamsSucceeded(),
		StreamsFailed: data.GetStreamsFailed(), MessagesSent: data.GetMessagesSent(), MessagesReceived: data.GetMessagesReceived(),
		KeepalivesSent: data.GetKeepAlivesSent(), LastMessage: when(data.GetLastMessageReceivedTimestamp()),
	}
	if at := s.GetRemote().GetTcpipAddress(); at != nil {
		if ip, ok := netip.AddrFromSlice(at.GetIpAddress()); ok {
			made.Remote = netip.AddrPortFrom(ip.Unmap(), uint16(at.GetPort())).String()
		}
	}
	return made
}

// when returns a time, nil if there is none.
func when(t *timestamppb.Timestamp) *time.Time {
	if t.GetSeconds() <= 0 {
		return nil
	}
	at := t.AsTime()
	return &at
}
