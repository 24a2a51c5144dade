package enroll

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/internal/enroll/enrollpb"
	"github.com/leno-mesh/leno/internal/identity"
)

// maxToken bounds the bearer token (bytes). Projected service-account tokens have about 1 KiB.
const maxToken = 16 << 10

// Server is the manager's side of enrolment.
type Server struct {
	enrollpb.UnimplementedEnrollmentServiceServer
	authenticator Authenticator
	signer        Signer
	trustDomain   string
	onRefusal     func(who Caller, err error)
}

// OnRefusal has f hear of requests that ask for something their authenticated caller may not have. Call it before serving.
func (s *Server) OnRefusal(f func(who Caller, err error)) { s.onRefusal = f }

// NewServer makes a Server for workloads of one trust domain.
func NewServer(authenticator Authenticator, signer Signer, trustDomain string) *Server {
	return &Server{authenticator: authenticator, signer: signer, trustDomain: trustDomain}
}

// Register adds the service to a gRPC server, which must require TLS: the token is a secret.
func (s *Server) Register(server grpc.ServiceRegistrar) {
	enrollpb.RegisterEnrollmentServiceServer(server, s)
}

// Sign checks who asks and what for, and has it signed.
func (s *Server) Sign(ctx context.Context, request *enrollpb.SignRequest) (*enrollpb.SignResponse, error) {
	token, err := bearerToken(ctx)
	if err != nil {
		return nil, err
	}
	who, err := s.authenticator.Authenticate(ctx, token)
	if err != nil {
		return nil, answer(err, codes.Unauthenticated, "service-account token")
	}
	want, err := identity.New(s.trustDomain, who.Namespace, who.ServiceAccount)
	if err != nil {
		return nil, status.Errorf(codes.PermissionDenied, "the token names no workload: %v", err)
	}
	if err := CheckCSR(request.GetCsrDer(), want); err != nil {
		code := codes.InvalidArgument
		if errors.Is(err, ErrOtherIdentity) {
			code = codes.PermissionDenied
		}
		slog.WarnContext(ctx, "certificate request refused", "namespace", who.Namespace, "serviceAccount", who.ServiceAccount,
			"pod", who.Pod, "reason", err.Error())
		if s.onRefusal != nil {
			s.onRefusal(who, err)
		}
		return nil, status.Errorf(code, "certificate request: %v", err)
	}
	chain, roots, err := s.signer.Sign(ctx, who, request.GetCsrDer())
	if err != nil {
		return nil, answer(err, codes.PermissionDenied, "signing for "+want.String())
	}
	return &enrollpb.SignResponse{ChainPem: chain, RootsPem: roots}, nil
}

// answer maps an error of the parts behind the server: refused gets its own code, everything else is worth a retry.
func answer(err error, refused codes.Code, noun string) error {
	if errors.Is(err, ErrRefused) {
		return status.Errorf(refused, "%s: %v", noun, err)
	}
	return status.Errorf(codes.Unavailable, "%s: %v", noun, err)
}

func bearerToken(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return "", status.Error(codes.Unauthenticated, `send the service-account token as metadata "authorization: Bearer <token>"`)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > maxToken {
		return "", status.Errorf(codes.Unauthenticated, `metadata authorization: want "Bearer <token>" of at most %d bytes`, maxToken)
	}
	return token, nil
}
