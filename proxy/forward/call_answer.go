package forward

import (
	"errors"
	"strconv"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/grpc"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/layer/redirect"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

var (
	grpcType    = []byte("application/grpc")
	grpcStatus  = []byte("grpc-status")
	grpcMessage = []byte("grpc-message")
)

// fail ends the call with what package fail says about err.
func (x *call) fail(err error) {
	kind, detail := fail.KindOf(err), ""
	var failure *fail.Error
	if errors.As(err, &failure) {
		detail = failure.Detail
	}
	x.rec.Flag = fail.Of(kind).Flag
	unprocessed := kind == fail.ConnectFailed && x.who.Direction == telemetry.Inbound && !x.headSent
	code := http2.Cancel
	switch {
	case kind != fail.UpstreamReset || x.resetCode == http2.NoError:
	case x.resetCode == http2.RefusedStream && x.headSent:
		// Whoever sent a head has processed the request: the client must not read that it may send it again (RFC 9113 section 8.7).
		code = http2.InternalError
	default:
		code = x.resetCode
	}
	x.drop(http2.Cancel)
	switch {
	case x.conn == nil:
		x.over = true
	case !x.headSent:
		x.answerText(fail.Of(kind).Status, kind, detail, unprocessed)
	case x.isCall && x.toClient.empty():
		x.text = fail.AppendText(x.text[:0], kind, x.who.Direction, detail)
		x.conn.SendTrailers(x.id, x.statusFields(nil, x.statusOf(kind)))
		x.done()
	default:
		if x.isCall {
			x.rec.GRPC = x.statusOf(kind).String()
		}
		// Half a response went out: only a reset tells the client so.
		x.conn.Reset(x.id, code)
		x.over = true
	}
}

// answerConfigured answers for a mistake in the route or in one of its backends.
func (x *call) answerConfigured(f *config.Failure) {
	kind := fail.BadRoute
	if x.backend != nil {
		kind = fail.BadBackend
	}
	status := f.Status
	if status == 0 {
		status = fail.Of(kind).Status
	}
	x.rec.Flag = fail.Of(kind).Flag
	x.answerText(status, kind, f.Reason, false)
}

// answerText answers with a failure: in words, or to a gRPC call by a response that is trailers only.
func (x *call) answerText(status int, kind fail.Kind, detail string, unprocessed bool) {
	x.text = fail.AppendText(x.text[:0], kind, x.who.Direction, detail)
	x.resp.Reset()
	if unprocessed {
		x.resp.Fields.Add(unprocessedName, []byte("connect"))
	}
	if x.isCall {
		code := x.statusOf(kind)
		if status != fail.Of(kind).Status {
			code = grpc.FromHTTP(status)
		}
		x.resp.Fields.Add(contentType, grpcType)
		x.resp.Fields = x.statusFields(x.resp.Fields, code)
		x.answer(200, nil)
		return
	}
	x.resp.Fields.Add(contentType, plainText)
	x.answer(status, x.text)
}

// statusOf is what a gRPC call is told of a failure. A connection that was lost has no code of its own.
func (x *call) statusOf(kind fail.Kind) grpc.Status {
	if kind == fail.UpstreamReset && x.resetCode != http2.NoError && x.resetCode != http2.Lost {
		return grpc.FromReset(uint32(x.resetCode))
	}
	return fail.GRPC(kind)
}

// statusFields appends the outcome of a gRPC call; its message is x.text.
func (x *call) statusFields(fields msg.Fields, code grpc.Status) msg.Fields {
	x.rec.GRPC = code.String()
	text := x.text
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	fields.Add(grpcStatus, strconv.AppendUint(nil, uint64(code), 10))
	fields.Add(grpcMessage, grpc.AppendMessage(nil, text))
	return fields
}

// answerRedirect answers with a Location. Layers of the rule change this response as they would a backend's.
func (x *call) answerRedirect(r *redirect.Redirect, layers []layer.Response) {
	x.req.Scratch = r.AppendLocation(x.req.Scratch[:0], &x.req, x.who.scheme(), x.dest.Address.Port())
	x.resp.Reset()
	x.resp.Fields.Add(location, x.req.Scratch)
	for _, l := range layers {
		l.Response(&x.resp)
	}
	x.answer(r.Status, nil)
}

// answer sends a response of the proxy's own, whose fields are in x.resp.
func (x *call) answer(status int, text []byte) {
	x.resp.Status = status
	if !x.isCall && status != noContent {
		x.resp.Body = msg.Body{Kind: msg.Sized, Length: int64(len(text))}
	}
	if x.rec.Method == "HEAD" {
		x.resp.Body, x.resp.Announced = msg.Body{}, int64(len(text))
		text = nil
	}
	x.rec.Code = status
	x.rec.BytesOut += int64(len(text))
	x.headSent = true
	x.conn.Respond(x.id, &x.resp, len(text) == 0)
	if len(text) == 0 {
		x.done()
		return
	}
	x.toClient.add(text)
	x.ending = true
	x.flush()
}

// callStatus records the outcome of a gRPC call, if fields tell it.
func (x *call) callStatus(fields msg.Fields) {
	if !x.isCall {
		return
	}
	value, _ := fields.Get("grpc-status")
	if status, ok := grpc.ParseStatus(value); ok {
		x.rec.GRPC = status.String()
	}
}

// untold is the outcome of a gRPC call that nobody told it.
func (x *call) untold() grpc.Status {
	if x.rec.Flag == fail.Of(fail.ClientGone).Flag {
		return grpc.Cancelled
	}
	return grpc.FromHTTP(x.rec.Code)
}
