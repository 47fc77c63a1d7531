package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	configmap "k8s.io/kubernetes/pkg/registry/core/configmap"
	endpoint "k8s.io/kubernetes/pkg/registry/core/endpoint"
	event "k8s.io/kubernetes/pkg/registry/core/event"
	limitrange "k8s.io/kubernetes/pkg/registry/core/limitrange"
	namespace "k8s.io/kubernetes/pkg/registry/core/namespace"
	node "k8s.io/kubernetes/pkg/registry/core/node"
	persistentvolume "k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	persistentvolumeclaim "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	pod "k8s.io/kubernetes/pkg/registry/core/pod"
	podtemplate "k8s.io/kubernetes/pkg/registry/core/podtemplate"
	replicationcontroller "k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	resourcequota "k8s.io/kubernetes/pkg/registry/core/resourcequota"
	secret "k8s.io/kubernetes/pkg/registry/core/secret"
	service "k8s.io/kubernetes/pkg/registry/core/service"
	serviceaccount "k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	endpointslice "k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	controllerrevision "k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	daemonset "k8s.io/kubernetes/pkg/registry/apps/daemonset"
	deployment "k8s.io/kubernetes/pkg/registry/apps/deployment"
	replicaset "k8s.io/kubernetes/pkg/registry/apps/replicaset"
	statefulset "k8s.io/kubernetes/pkg/registry/apps/statefulset"
	horizontalpodautoscaler "k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	cronjob "k8s.io/kubernetes/pkg/registry/batch/cronjob"
	job "k8s.io/kubernetes/pkg/registry/batch/job"
	certificates "k8s.io/kubernetes/pkg/registry/certificates/certificates"
	lease "k8s.io/kubernetes/pkg/registry/coordination/lease"
	flowschema "k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema"
	prioritylevelconfiguration "k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration"
	ingress "k8s.io/kubernetes/pkg/registry/networking/ingress"
	ingressclass "k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	ipaddress "k8s.io/kubernetes/pkg/registry/networking/ipaddress"
	networkpolicy "k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	servicecidr "k8s.io/kubernetes/pkg/registry/networking/servicecidr"
	runtimeclass "k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	poddisruptionbudget "k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	clusterrole "k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	clusterrolebinding "k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	role "k8s.io/kubernetes/pkg/registry/rbac/role"
	rolebinding "k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	deviceclass "k8s.io/kubernetes/pkg/registry/resource/deviceclass"
	resourceslice "k8s.io/kubernetes/pkg/registry/resource/resourceslice"
	priorityclass "k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	csidriver "k8s.io/kubernetes/pkg/registry/storage/csidriver"
	csinode "k8s.io/kubernetes/pkg/registry/storage/csinode"
	csistoragecapacity "k8s.io/kubernetes/pkg/registry/storage/csistoragecapacity"
	storageclass "k8s.io/kubernetes/pkg/registry/storage/storageclass"
	volumeattachment "k8s.io/kubernetes/pkg/registry/storage/volumeattachment"
	volumeattributesclass "k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass"
	mutatingwebhookconfiguration "k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	validatingwebhookconfiguration "k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	validatingadmissionpolicy "k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	validatingadmissionpolicybinding "k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/authorization/install"
)

type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

var strategies = map[string]strategy{
	"ConfigMap": configmap.Strategy,
	"Endpoints": endpoint.Strategy,
	"Event": event.Strategy,
	"LimitRange": limitrange.Strategy,
	"Namespace": namespace.Strategy,
	"Node": node.Strategy,
	"PersistentVolume": persistentvolume.Strategy,
	"PersistentVolumeClaim": persistentvolumeclaim.Strategy,
	"Pod": pod.Strategy,
	"PodTemplate": podtemplate.Strategy,
	"ReplicationController": replicationcontroller.Strategy,
	"ResourceQuota": resourcequota.Strategy,
	"Secret": secret.Strategy,
	"Service": service.Strategy,
	"ServiceAccount": serviceaccount.Strategy,
	"EndpointSlice": endpointslice.Strategy,
	"ControllerRevision": controllerrevision.Strategy,
	"DaemonSet": daemonset.Strategy,
	"Deployment": deployment.Strategy,
	"ReplicaSet": replicaset.Strategy,
	"StatefulSet": statefulset.Strategy,
	"HorizontalPodAutoscaler": horizontalpodautoscaler.Strategy,
	"CronJob": cronjob.Strategy,
	"Job": job.Strategy,
	"CertificateSigningRequest": certificates.Strategy,
	"Lease": lease.Strategy,
	"FlowSchema": flowschema.Strategy,
	"PriorityLevelConfiguration": prioritylevelconfiguration.Strategy,
	"Ingress": ingress.Strategy,
	"IngressClass": ingressclass.Strategy,
	"IPAddress": ipaddress.Strategy,
	"NetworkPolicy": networkpolicy.Strategy,
	"ServiceCIDR": servicecidr.Strategy,
	"RuntimeClass": runtimeclass.Strategy,
	"PodDisruptionBudget": poddisruptionbudget.Strategy,
	"ClusterRole": clusterrole.Strategy,
	"ClusterRoleBinding": clusterrolebinding.Strategy,
	"Role": role.Strategy,
	"RoleBinding": rolebinding.Strategy,
	"DeviceClass": deviceclass.Strategy,
	"ResourceSlice": resourceslice.Strategy,
	"PriorityClass": priorityclass.Strategy,
	"CSIDriver": csidriver.Strategy,
	"CSINode": csinode.Strategy,
	"CSIStorageCapacity": csistoragecapacity.Strategy,
	"StorageClass": storageclass.Strategy,
	"VolumeAttachment": volumeattachment.Strategy,
	"VolumeAttributesClass": volumeattributesclass.Strategy,
	"MutatingWebhookConfiguration": mutatingwebhookconfiguration.Strategy,
	"ValidatingWebhookConfiguration": validatingwebhookconfiguration.Strategy,
	"ValidatingAdmissionPolicy": validatingadmissionpolicy.NewStrategy(nil, nil),
	"ValidatingAdmissionPolicyBinding": validatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
}

var statusStrategies = map[string]rest.RESTUpdateStrategy{
	"Namespace": namespace.StatusStrategy,
	"Node": node.StatusStrategy,
	"PersistentVolume": persistentvolume.StatusStrategy,
	"PersistentVolumeClaim": persistentvolumeclaim.StatusStrategy,
	"Pod": pod.StatusStrategy,
	"ReplicationController": replicationcontroller.StatusStrategy,
	"ResourceQuota": resourcequota.StatusStrategy,
	"Service": service.StatusStrategy,
	"DaemonSet": daemonset.StatusStrategy,
	"Deployment": deployment.StatusStrategy,
	"ReplicaSet": replicaset.StatusStrategy,
	"StatefulSet": statefulset.StatusStrategy,
	"HorizontalPodAutoscaler": horizontalpodautoscaler.StatusStrategy,
	"CronJob": cronjob.StatusStrategy,
	"Job": job.StatusStrategy,
	"CertificateSigningRequest": certificates.StatusStrategy,
	"FlowSchema": flowschema.StatusStrategy,
	"PriorityLevelConfiguration": prioritylevelconfiguration.StatusStrategy,
	"Ingress": ingress.StatusStrategy,
	"ServiceCIDR": servicecidr.StatusStrategy,
	"PodDisruptionBudget": poddisruptionbudget.StatusStrategy,
	"VolumeAttachment": volumeattachment.StatusStrategy,
}

type question struct {
	Object      json.RawMessage `json:"object"`
	Change      json.RawMessage `json:"change,omitempty"`
	Subresource string          `json:"subresource,omitempty"`
}
type answer struct {
	Object   json.RawMessage `json:"object,omitempty"`
	Error    string          `json:"error,omitempty"`
	Causes   []string        `json:"causes,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Fields map[string]string `json:"fields,omitempty"`
}
type recorder struct{ list []string }

func (r *recorder) AddWarning(agent, text string) { r.list = append(r.list, text) }

func describe(a *answer, err error) {
	a.Error = err.Error()
	if s, ok := err.(errors.APIStatus); ok && s.Status().Details != nil {
		for _, c := range s.Status().Details.Causes {
			a.Causes = append(a.Causes, c.Field+": "+c.Message)
		}
	}
}

func decode(raw []byte) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, gvk, err := legacyscheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	legacyscheme.Scheme.Default(obj)
	internal, err := legacyscheme.Scheme.ConvertToVersion(obj, runtime.InternalGroupVersioner)
	return internal, gvk, err
}

func encode(obj runtime.Object, gv schema.GroupVersion) (json.RawMessage, error) {
	proto := protobuf.NewSerializer(legacyscheme.Scheme, legacyscheme.Scheme)
	stored, err := runtime.Encode(legacyscheme.Codecs.EncoderForVersion(proto, gv), obj)
	if err != nil {
		return nil, err
	}
	back, err := runtime.Decode(legacyscheme.Codecs.DecoderToVersion(proto, runtime.InternalGroupVersioner), stored)
	if err != nil {
		return nil, err
	}
	out, err := runtime.Encode(legacyscheme.Codecs.LegacyCodec(gv), back)
	return json.RawMessage(strings.TrimSpace(string(out))), err
}

func ask(q question) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a.Error = fmt.Sprintf("panic: %v", r)
		}
	}()
	rec := &recorder{}
	obj, gvk, err := decode(q.Object)
	if err != nil {
		describe(&a, err)
		return
	}
	s := strategies[gvk.Kind]
	if s == nil {
		a.Error = "no strategy " + gvk.Kind
		return
	}
	ctx := warning.WithWarningRecorder(context.Background(), rec)
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, APIGroup: gvk.Group, APIVersion: gvk.Version, Verb: "create"})
	namespace := ""
	if s.NamespaceScoped() {
		namespace = "default"
	}
	ctx = request.WithNamespace(ctx, namespace)
	acc, _ := meta.Accessor(obj)
	rest.FillObjectMetaSystemFields(acc)
	acc.SetUID(types.UID("u"))
	acc.SetCreationTimestamp(metav1.Time{})
	if acc.GetName() == "" {
		acc.SetName("x")
	}
	if s.NamespaceScoped() && acc.GetNamespace() == "" {
		acc.SetNamespace("default")
	}
	if err := rest.BeforeCreate(s, ctx, obj); err != nil {
		describe(&a, err)
		a.Warnings = rec.list
		return
	}
	for _, w := range s.WarningsOnCreate(ctx, obj) { _ = w }
	if q.Change != nil {
		first, err := encode(obj, gvk.GroupVersion())
		if err != nil {
			describe(&a, err)
			return
		}
		old, _, err := decode(first)
		if err != nil {
			describe(&a, err)
			return
		}
		var base, change any
		json.Unmarshal(first, &base)
		json.Unmarshal(q.Change, &change)
		merged, _ := json.Marshal(merge(base, change))
		next, _, err := decode(merged)
		if err != nil {
			describe(&a, err)
			return
		}
		var us rest.RESTUpdateStrategy = s
		if q.Subresource == "status" {
			us = statusStrategies[gvk.Kind]
			if us == nil {
				a.Error = "no status strategy"
				return
			}
		}
		for _, o := range []runtime.Object{old, next} {
			m, _ := meta.Accessor(o)
			m.SetResourceVersion("1")
		}
		rec.list = nil
		if err := rest.BeforeUpdate(us, ctx, next, old); err != nil {
			describe(&a, err)
			a.Warnings = rec.list
			return
		}
		m, _ := meta.Accessor(next)
		m.SetResourceVersion("")
		obj = next
	}
	a.Warnings = rec.list
	out, err := encode(obj, gvk.GroupVersion())
	if err != nil {
		describe(&a, err)
		return
	}
	a.Object = out
	return
}

func merge(base, change any) any {
	b, ok1 := base.(map[string]any)
	c, ok2 := change.(map[string]any)
	if !ok1 || !ok2 {
		return change
	}
	for k, v := range c {
		if v == nil {
			delete(b, k)
		} else {
			b[k] = merge(b[k], v)
		}
	}
	return b
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 16<<20)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			fmt.Println(`{"error":"bad question"}`)
			continue
		}
		out, _ := json.Marshal(ask(q))
		fmt.Println(string(out))
	}
}
