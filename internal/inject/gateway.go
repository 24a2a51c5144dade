package inject

import (
	corev1 "k8s.io/api/core/v1"
)

// Gateway is the container of a gateway's proxy and the volumes that it needs: the sidecar's, but that it is started as a gateway.
func Gateway(s Settings) (corev1.Container, []corev1.Volume) {
	c := proxyContainer(s, overrides{resources: s.Resources, logLevel: s.LogLevel}, "")
	c.Args = []string{"gateway"}
	return c, volumes()
}
