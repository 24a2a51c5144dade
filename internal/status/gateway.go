package status

import (
	"fmt"
	"strings"
)

// The types of conditions of Gateways, ListenerSets and their listeners beyond those of routes (Gateway API).
const (
	TypeProgrammed        = "Programmed"
	TypeConflicted        = "Conflicted"
	TypeSupportedVersion  = "SupportedVersion"
	TypeInsecureFallback  = "InsecureFrontendValidationMode"
	TypeAddressesAssigned = "AddressesAssigned"
)

// The reasons of their conditions.
const (
	ReasonProgrammed               = "Programmed"
	ReasonInvalid                  = "Invalid"
	ReasonPending                  = "Pending"
	ReasonInvalidParameters        = "InvalidParameters"
	ReasonListenersNotValid        = "ListenersNotValid"
	ReasonListenersNotResolved     = "ListenersNotResolved"
	ReasonParentNotAccepted        = "ParentNotAccepted"
	ReasonNotAllowed               = "NotAllowed"
	ReasonUnsupportedAddress       = "UnsupportedAddress"
	ReasonAddressNotAssigned       = "AddressNotAssigned"
	ReasonNameTaken                = "NameTaken"
	ReasonAddressNotUsable         = "AddressNotUsable"
	ReasonAddressesAssigned        = "AddressesAssigned"
	ReasonPartiallyAssigned        = "PartiallyAssigned"
	ReasonNotAssigned              = "NotAssigned"
	ReasonPortUnavailable          = "PortUnavailable"
	ReasonHostnameConflict         = "HostnameConflict"
	ReasonProtocolConflict         = "ProtocolConflict"
	ReasonNoConflicts              = "NoConflicts"
	ReasonInvalidRouteKinds        = "InvalidRouteKinds"
	ReasonInvalidCertificateRef    = "InvalidCertificateRef"
	ReasonInvalidClientCertificate = "InvalidClientCertificateRef"
	ReasonInvalidCACertificateRef  = "InvalidCACertificateRef"
	ReasonInvalidCACertificateKind = "InvalidCACertificateKind"
	ReasonNoValidCACertificate     = "NoValidCACertificate"
	ReasonInvalidListenerFilter    = "InvalidListenerFilter"
	ReasonInvalidListenerFilterRef = "InvalidListenerFilterRef"
	ReasonConfigurationChanged     = "ConfigurationChanged"
	ReasonSupportedVersion         = "SupportedVersion"
	ReasonUnsupportedVersion       = "UnsupportedVersion"
	ReasonNotAllowedByListeners    = "NotAllowedByListeners"
	ReasonNoMatchingHostname       = "NoMatchingListenerHostname"
	ReasonConflicted               = "Conflicted"
	ReasonTargetNotFound           = "TargetNotFound"
)

// True is a condition that holds.
func True(kind, reason, format string, args ...any) Condition {
	return Condition{Type: kind, Status: true, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// False is a condition that does not hold.
func False(kind, reason, format string, args ...any) Condition {
	return Condition{Type: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Because is a condition that does not hold because of problems: the reason of the first and the text of all.
func Because(kind string, problems []Problem) Condition {
	return Condition{Type: kind, Reason: problems[0].Reason, Message: texts(problems)}
}

// Why makes a problem.
func Why(reason, format string, args ...any) Problem { return problem(reason, format, args...) }

// Sentences joins what is to be said of several things.
func Sentences(list []string) string { return strings.Join(list, "; ") }

// List joins names for a message.
func List(names []string) string { return orNone(strings.Join(names, ", ")) }

// GatewayTypes are the types of condition that Leno writes for a Gateway. Conditions of other types are somebody else's.
func GatewayTypes() []string {
	return []string{TypeAccepted, TypeProgrammed, TypeResolvedRefs, TypeAddressesAssigned, TypeInsecureFallback, TypeUnknownFields}
}
