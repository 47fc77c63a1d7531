package clients

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/httpstream"
)

type (
	connection    = httpstream.Connection
	runtimeObject = runtime.Object
)
