package externalauth

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// head reads a request.
func head(t testing.TB, text string) *msg.Request {
	t.Helper()
	r := &msg.Request{}
	if err := http1.ParseRequest([]byte(strings.ReplaceAll(text, "\n", "\r\n")+"\r\n\r\n"), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestQuestionsOfHTTP(t *testing.T) {
	for name, tc := range map[string]struct {
		config  config.ExternalAuth
		request string
		body    string
		want    string
	}{
		"what is always told": {
			request: "PUT /a?b=c HTTP/1.1\nHost: shop:80\nContent-Length: 3\nAuthorization: me\nCookie: a=b\nX-A: 1",
			want:    "PUT /a?b=c HTTP/1.1\nHost: shop:80\nauthorization: me\nContent-Length: 0\n\n",
		},
		"headers that are allowed, in one line each": {
			config:  config.ExternalAuth{RequestHeaders: []string{"cookie", "x-a"}},
			request: "GET /a HTTP/1.1\nHost: shop\nX-B: 1\nCookie: a=b\nX-A: 1\nCookie: c=d\nx-a: 2",
			want:    "GET /a HTTP/1.1\nHost: shop\ncookie: a=b; c=d\nx-a: 1,2\nContent-Length: 0\n\n",
		},
		"path with prefix": {
			config:  config.ExternalAuth{PathPrefix: "/check"},
			request: "GET /a?b HTTP/1.1\nHost: shop",
			want:    "GET /check/a?b HTTP/1.1\nHost: shop\nContent-Length: 0\n\n",
		},
		"no path to put a prefix in front of": {
			config:  config.ExternalAuth{PathPrefix: "/check"},
			request: "OPTIONS * HTTP/1.1\nHost: shop",
			want:    "OPTIONS /check HTTP/1.1\nHost: shop\nContent-Length: 0\n\n",
		},
		"no path and no prefix": {
			request: "OPTIONS * HTTP/1.1\nHost: shop",
			want:    "OPTIONS * HTTP/1.1\nHost: shop\nContent-Length: 0\n\n",
		},
		"no host": {
			config:  config.ExternalAuth{Authority: "auth.shop:80"},
			request: "GET / HTTP/1.0",
			want:    "GET / HTTP/1.1\nHost: auth.shop:80\nContent-Length: 0\n\n",
		},
		"body": {
			config:  config.ExternalAuth{MaxBody: 10},
			request: "POST / HTTP/1.1\nHost: shop\nTransfer-Encoding: chunked",
			body:    "abc",
			want:    "POST / HTTP/1.1\nHost: shop\nContent-Length: 3\n\nabc",
		},
		"upgrade": {
			request: "GET /chat HTTP/1.1\nHost: shop\nConnection: Upgrade\nUpgrade: websocket",
			want:    "GET /chat HTTP/1.1\nHost: shop\nContent-Length: 0\n\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := Compile(&tc.config).Ask(&Request{Head: head(t, tc.request), Body: []byte(tc.body)})
			got := string(append(http1.AppendRequest(nil, &q.Head), q.Body...))
			if got = strings.ReplaceAll(got, "\r\n", "\n"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if q := Compile(&config.ExternalAuth{}).Ask(&Request{Head: head(t, "CONNECT shop:443 HTTP/1.1\nHost: shop:443")}); q != nil {
		t.Errorf("a question for a tunnel: %v", q)
	}
	if Compile(nil) != nil {
		t.Error("there is a policy where none is configured")
	}
}

func TestQuestionsOfGRPC(t *testing.T) {
	at := time.Unix(1_700_000_000, 5).UTC()
	asked := func(c config.ExternalAuth, request, body string) *authv3.CheckRequest {
		t.Helper()
		c.GRPC, c.Authority, c.Timeout = true, "auth.shop:9000", 1500*time.Millisecond
		q := Compile(&c).Ask(&Request{
			Head: head(t, request), Body: []byte(body), Scheme: "http", Protocol: "HTTP/1.1", Time: at,
			Source: netip.MustParseAddrPort("[::ffff:10.0.0.1]:1234"), Destination: netip.MustParseAddrPort("10.96.0.1:80"),
		})
		want := "POST /envoy.service.auth.v3.Authorization/Check HTTP/1.1\r\nHost: auth.shop:9000\r\ncontent-type: application/grpc\r\ngrpc-timeout: 1500m\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n\r\n"
		if got := string(http1.AppendRequest(nil, &q.Head)); got != want {
			t.Errorf("head %q", got)
		}
		if q.Body[0] != 0 || int(binary.BigEndian.Uint32(q.Body[1:])) != len(q.Body)-5 {
			t.Fatalf("frame % x", q.Body[:5])
		}
		out := &authv3.CheckRequest{}
		if err := proto.Unmarshal(q.Body[5:], out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	peer := func(address string, port uint32) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
		}}}}
	}
	want := func(h *authv3.AttributeContext_HttpRequest) *authv3.CheckRequest {
		h.Scheme, h.Protocol, h.Host = "http", "HTTP/1.1", "shop"
		return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: peer("10.0.0.1", 1234), Destination: peer("10.96.0.1", 80),
			Request: &authv3.AttributeContext_Request{Time: timestamppb.New(at), Http: h},
		}}
	}
	for name, tc := range map[string]struct {
		config  config.ExternalAuth
		request string
		body    string
		want    *authv3.CheckRequest
	}{
		"all headers": {
			request: "PUT /a?b=c HTTP/1.1\nHost: shop\nContent-Length: 3\nX-A: 1\nx-a: 2\nX-B: \xff",
			want: want(&authv3.AttributeContext_HttpRequest{Method: "PUT", Path: "/a?b=c", Size: 3, Headers: map[string]string{
				"x-a": "1,2", "x-b": "!", "content-length": "3", ":method": "PUT", ":path": "/a?b=c", ":authority": "shop", ":scheme": "http",
			}}),
		},
		"some headers": {
			config:  config.ExternalAuth{RequestHeaders: []string{"x-a"}},
			request: "GET / HTTP/1.1\nHost: shop\nX-A: 1\nX-B: 2\nAuthorization: me",
			want:    want(&authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/", Headers: map[string]string{"x-a": "1"}}),
		},
		"body, of which nobody has said how long it will be": {
			config:  config.ExternalAuth{MaxBody: 10, RequestHeaders: []string{"x-a"}},
			request: "POST / HTTP/1.1\nHost: shop\nTransfer-Encoding: chunked",
			body:    "\xff\x00",
			want:    want(&authv3.AttributeContext_HttpRequest{Method: "POST", Path: "/", Size: -1, RawBody: []byte("\xff\x00")}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, asked(tc.config, tc.request, tc.body), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func fields(lines ...string) (out msg.Fields) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		out.Add([]byte(name), []byte(value))
	}
	return out
}

// outcome is what a verdict does to a request and its response, or the answer that it is; "?" and why for none.
func outcome(v *Verdict, err error) string {
	if err != nil {
		return "? " + err.Error()
	}
	if !v.Allowed {
		return string(http1.AppendResponse(nil, &msg.Response{Status: v.Status, Fields: v.Fields, Announced: -1}, false)) + string(v.Body)
	}
	r := &msg.Request{
		Method: []byte("GET"), Path: []byte("/"), Query: []byte("a=1&b=2&a=3"), HasQuery: true, Authority: []byte("shop"),
		Fields: fields("X-A: client", "X-A: again", "X-Gone: client", "Content-Type: client"),
	}
	v.Request(r)
	out := string(http1.AppendRequest(nil, r))
	if v.Responds() {
		resp := &msg.Response{Status: 200, Fields: fields("X-R: backend"), Announced: -1}
		v.Response(resp)
		out += string(http1.AppendResponse(nil, resp, false))
	}
	return out
}

const unchanged = "GET /?a=1&b=2&a=3 HTTP/1.1\nHost: shop\nX-A: client\nX-A: again\nX-Gone: client\nContent-Type: client\n\n"

func TestAnswersOfHTTP(t *testing.T) {
	for name, tc := range map[string]struct {
		copied []string
		answer Answer
		want   string
	}{
		"yes": {answer: Answer{Status: 200}, want: unchanged},
		"yes, with headers": {
			answer: Answer{Status: 200, Fields: fields("X-a: server", "Set-Cookie: a", "set-cookie: b", "Content-Type: text/plain", "Host: evil", "Date: now")},
			want:   "GET /?a=1&b=2&a=3 HTTP/1.1\nHost: shop\nX-A: server\nX-Gone: client\nContent-Type: client\nSet-Cookie: a\nset-cookie: b\nDate: now\n\n",
		},
		"yes, with headers of which some are copied": {
			copied: []string{"x-a", "content-type", "x-gone"},
			answer: Answer{Status: 200, Fields: fields("X-A: server", "Content-Type: server", "X-Other: server")},
			want:   "GET /?a=1&b=2&a=3 HTTP/1.1\nHost: shop\nX-A: server\nX-Gone: client\nContent-Type: server\n\n",
		},
		"yes, but without headers": {
			answer: Answer{Status: 200, Fields: fields("X-Envoy-Auth-Headers-To-Remove: x-gone , X-A,host", "X-A: server")},
			want:   "GET /?a=1&b=2&a=3 HTTP/1.1\nHost: shop\nContent-Type: client\n\n",
		},
		"yes, malformed": {answer: Answer{Status: 200, Fields: fields("X-A: a\x00b")}, want: `? the answer has header "x-a", or a value of it, that is malformed`},
		"no": {
			answer: Answer{Status: 401, Fields: fields("WWW-Authenticate: Basic", "Content-Type: text/plain"), Body: []byte("who are you?")},
			want:   "HTTP/1.1 401 \nWWW-Authenticate: Basic\nContent-Type: text/plain\n\nwho are you?",
		},
		"no, log in first":             {answer: Answer{Status: 302, Fields: fields("Location: /login")}, want: "HTTP/1.1 302 \nLocation: /login\n\n"},
		"no, by a yes to another":      {answer: Answer{Status: 204}, want: "HTTP/1.1 403 \n\n"},
		"no, by reference to a cache":  {answer: Answer{Status: 304}, want: "HTTP/1.1 403 \n\n"},
		"nothing, by its own failure":  {answer: Answer{Status: 500}, want: "? the authorization server failed with status 500"},
		"nothing, by its own overload": {answer: Answer{Status: 503}, want: "? the authorization server failed with status 503"},
	} {
		t.Run(name, func(t *testing.T) {
			got := outcome(Compile(&config.ExternalAuth{ResponseHeaders: tc.copied}).Read(&tc.answer))
			if got = strings.ReplaceAll(got, "\r\n", "\n"); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func option(name, value string, edit ...func(*corev3.HeaderValueOption)) *corev3.HeaderValueOption {
	o := &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
	for _, f := range edit {
		f(o)
	}
	return o
}

// appending is how servers of old say it.
func appending(o *corev3.HeaderValueOption) {
	o.Append = wrapperspb.Bool(true) //nolint:staticcheck // deprecated, and still sent
}

func doing(a corev3.HeaderValueOption_HeaderAppendAction) func(*corev3.HeaderValueOption) {
	return func(o *corev3.HeaderValueOption) { o.AppendAction = a }
}

func ok(r *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &status.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: r}}
}

func denied(r *authv3.DeniedHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &status.Status{Code: 7}, HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: r}}
}

// framedMessage is a message as gRPC carries it.
func framedMessage(t testing.TB, m proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

var grpcAnswers = map[string]struct {
	answer *authv3.CheckResponse
	want   string
}{
	"yes":                {&authv3.CheckResponse{Status: &status.Status{}}, unchanged},
	"yes, without words": {&authv3.CheckResponse{}, unchanged},
	"yes, with changes": {
		ok(&authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{
				option("X-a", "server"), option("X-B", "1"), option("X-B", "2", appending),
				option("X-Gone", "not", doing(corev3.HeaderValueOption_ADD_IF_ABSENT)), option("X-C", "new", doing(corev3.HeaderValueOption_ADD_IF_ABSENT)),
				option("X-D", "not", doing(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS)), option("content-type", "server", doing(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS)),
				option("Host", "evil"), option(":path", "/evil"), option("Content-Length", "7"), option("transfer-encoding", "chunked"),
			},
			HeadersToRemove:         []string{"X-Gone", "host", ":path"},
			ResponseHeadersToAdd:    []*corev3.HeaderValueOption{option("X-R", "server"), option("Set-Cookie", "a", appending)},
			QueryParametersToSet:    []*corev3.QueryParameter{{Key: "a", Value: "server"}, {Key: "c", Value: "%26"}},
			QueryParametersToRemove: []string{"b"},
		}),
		"GET /?a=server&c=%26 HTTP/1.1\nHost: shop\nX-A: server\nContent-Type: server\nX-B: 1\nX-B: 2\nX-C: new\n\nHTTP/1.1 200 \nX-R: server\nSet-Cookie: a\n\n",
	},
	"yes, with no query left": {ok(&authv3.OkHttpResponse{QueryParametersToRemove: []string{"a", "b", "c"}}), "GET / HTTP/1.1\nHost: shop\nX-A: client\nX-A: again\nX-Gone: client\nContent-Type: client\n\n"},
	"yes, with a refusal that is not meant": {
		&authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{Body: "no"}}}, unchanged,
	},
	"yes, malformed name":      {ok(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{option("x a", "1")}}), `? the answer has header "x a", or a value of it, that is malformed`},
	"yes, malformed value":     {ok(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{option("a", "1\r\nb: 2")}}), `? the answer has header "a", or a value of it, that is malformed`},
	"yes, malformed parameter": {ok(&authv3.OkHttpResponse{QueryParametersToSet: []*corev3.QueryParameter{{Key: "a", Value: "b c"}}}), `? the answer has query parameter "a", or a value of it, that is malformed`},
	"no":                       {&authv3.CheckResponse{Status: &status.Status{Code: 7}}, "HTTP/1.1 403 \n\n"},
	"no, with words": {
		denied(&authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized},
			Headers: []*corev3.HeaderValueOption{option("A", "1"), option("a", "2"), option("A", "3", appending), option("Content-Length", "7")},
			Body:    "who are you?",
		}),
		"HTTP/1.1 401 \nA: 2\nA: 3\n\nwho are you?",
	},
	"no, with a status that is none": {denied(&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 200}}), "HTTP/1.1 403 \n\n"},
	"no, malformed":                  {denied(&authv3.DeniedHttpResponse{Headers: []*corev3.HeaderValueOption{option("", "1"), option("a b", "1")}}), `? the answer has header "a b", or a value of it, that is malformed`},
	"nothing": {
		&authv3.CheckResponse{Status: &status.Status{Code: 13}, HttpResponse: &authv3.CheckResponse_ErrorResponse{ErrorResponse: &authv3.DeniedHttpResponse{}}},
		"? the authorization server failed, as it says itself",
	},
}

func TestAnswersOfGRPC(t *testing.T) {
	p := Compile(&config.ExternalAuth{GRPC: true})
	for name, tc := range grpcAnswers {
		t.Run(name, func(t *testing.T) {
			got := outcome(p.Read(&Answer{Status: 200, Trailers: fields("grpc-status: 0"), Body: framedMessage(t, tc.answer), Whole: true}))
			if got = strings.ReplaceAll(got, "\r\n", "\n"); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
	yes := framedMessage(t, &authv3.CheckResponse{})
	for name, a := range map[string]Answer{
		"status of HTTP":      {Status: 404, Whole: true, Body: yes, Trailers: fields("grpc-status: 0")},
		"no status of gRPC":   {Status: 200, Whole: true, Body: yes},
		"a failure":           {Status: 200, Whole: true, Fields: fields("grpc-status: 14")},
		"no message":          {Status: 200, Whole: true, Trailers: fields("grpc-status: 0")},
		"half a message":      {Status: 200, Whole: true, Trailers: fields("grpc-status: 0"), Body: []byte{0, 0, 0, 0, 1}},
		"two messages":        {Status: 200, Whole: true, Trailers: fields("grpc-status: 0"), Body: append(yes, yes...)},
		"a message too long":  {Status: 200, Trailers: fields("grpc-status: 0"), Body: yes},
		"compressed":          {Status: 200, Whole: true, Trailers: fields("grpc-status: 0"), Body: []byte{1, 0, 0, 0, 0}},
		"no protobuf":         {Status: 200, Whole: true, Trailers: fields("grpc-status: 0"), Body: []byte{0, 0, 0, 0, 1, 0xff}},
		"too many of changes": {Status: 200, Whole: true, Trailers: fields("grpc-status: 0"), Body: framedMessage(t, ok(&authv3.OkHttpResponse{HeadersToRemove: make([]string, 201)}))},
	} {
		if v, err := p.Read(&a); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// FuzzRead: whatever a server answers is read in bounded time, and what is made of it is a message.
func FuzzRead(f *testing.F) {
	for _, tc := range grpcAnswers {
		f.Add(framedMessage(f, tc.answer))
	}
	p := Compile(&config.ExternalAuth{GRPC: true})
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := p.Read(&Answer{Status: 200, Trailers: fields("grpc-status: 0"), Body: body, Whole: true})
		if err != nil {
			return
		}
		text := []byte(outcome(v, nil))
		end, err := http1.HeadEnd(text, 0)
		if err != nil || end == 0 {
			t.Fatalf("%q has no end: %v", text, err)
		}
		if v.Allowed {
			err = http1.ParseRequest(text[:end], &msg.Request{})
		} else {
			err = http1.ParseResponse(text[:end], false, &msg.Response{})
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
