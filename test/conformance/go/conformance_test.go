// Package conformance runs the Gateway API's own conformance suite, unchanged, against the cluster that KUBECONFIG names.
package conformance

import (
	"testing"

	upstream "sigs.k8s.io/gateway-api/conformance"
)

// TestConformance takes the suite's own flags; see `go doc sigs.k8s.io/gateway-api/conformance/utils/flags`.
func TestConformance(t *testing.T) {
	upstream.RunConformance(t)
}
