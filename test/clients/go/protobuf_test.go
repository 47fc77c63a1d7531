package clients

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

const inProtobuf = "application/vnd.kubernetes.protobuf"

// someOfEach makes objects of many kinds and field types.
func someOfEach(t *testing.T, ctx context.Context, client kubernetes.Interface, namespace string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "one", Labels: map[string]string{"b": "2", "a": "1"}, Annotations: map[string]string{"note": "ü 😀"}}
	labels := map[string]string{"app": "one"}
	zero, percent, create := intstr.FromInt32(0), intstr.FromString("25%"), metav1.CreateOptions{}
	none := int32(0)
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "echo", Image: "fairlead.dev/echo",
				Env:       []corev1.EnvVar{{Name: "EMPTY"}, {Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}},
				Ports:     []corev1.ContainerPort{{ContainerPort: 8080}},
				Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}},
			}},
			Volumes: []corev1.Volume{{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "one"}}}}},
		},
	}
	once := *template.DeepCopy()
	once.Spec.RestartPolicy = corev1.RestartPolicyNever
	must[*corev1.ConfigMap](t)(client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"z": "", "a": "ä"}, BinaryData: map[string][]byte{"b": {0, 255}}}, create))
	must[*corev1.Secret](t)(client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"k": {1, 2, 3}}}, create))
	must[*corev1.ServiceAccount](t)(client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, create))
	must[*corev1.Service](t)(client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("web")}}}}, create))
	must[*corev1.PersistentVolumeClaim](t)(client.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}, create))
	must[*corev1.LimitRange](t)(client.CoreV1().LimitRanges(namespace).Create(ctx, &corev1.LimitRange{ObjectMeta: meta, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePersistentVolumeClaim, Max: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")}}}}}, create))
	must[*corev1.ResourceQuota](t)(client.CoreV1().ResourceQuotas(namespace).Create(ctx, &corev1.ResourceQuota{ObjectMeta: meta, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/widgets.example.com": resource.MustParse("5")}}}, create))
	must[*appsv1.Deployment](t)(client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
		Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &zero, MaxSurge: &percent}},
	}}, create))
	must[*appsv1.StatefulSet](t)(client.AppsV1().StatefulSets(namespace).Create(ctx, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template, ServiceName: "one"}}, create))
	must[*batchv1.CronJob](t)(client.BatchV1().CronJobs(namespace).Create(ctx, &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}}}}, create))
	kind := networkingv1.PathTypePrefix
	must[*networkingv1.Ingress](t)(client.NetworkingV1().Ingresses(namespace).Create(ctx, &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "a.example.com", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
		Path: "/", PathType: &kind, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "one", Port: networkingv1.ServiceBackendPort{Number: 80}}},
	}}}}}}}}, create))
	must[*networkingv1.NetworkPolicy](t)(client.NetworkingV1().NetworkPolicies(namespace).Create(ctx, &networkingv1.NetworkPolicy{ObjectMeta: meta, Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}}, create))
	must[*policyv1.PodDisruptionBudget](t)(client.PolicyV1().PodDisruptionBudgets(namespace).Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: meta, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &percent, Selector: &metav1.LabelSelector{}}}, create))
	must[*rbacv1.Role](t)(client.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}}}, create))
}

// eachPath is where someOfEach made its objects.
var eachPath = []string{
	"/api/v1/namespaces/%s/configmaps/one", "/api/v1/namespaces/%s/secrets/one", "/api/v1/namespaces/%s/serviceaccounts/one",
	"/api/v1/namespaces/%s/services/one", "/api/v1/namespaces/%s/persistentvolumeclaims/one", "/api/v1/namespaces/%s/limitranges/one",
	"/api/v1/namespaces/%s/resourcequotas/one", "/apis/apps/v1/namespaces/%s/deployments/one", "/apis/apps/v1/namespaces/%s/statefulsets/one",
	"/apis/batch/v1/namespaces/%s/cronjobs/one", "/apis/networking.k8s.io/v1/namespaces/%s/ingresses/one",
	"/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies/one", "/apis/policy/v1/namespaces/%s/poddisruptionbudgets/one",
	"/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles/one",
}

// What the server encodes is, byte for byte, what Go makes of the same object; lists too.
func TestBytesAreThoseOfGo(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	someOfEach(t, ctx, client, namespace)
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	for _, path := range eachPath {
		path = fmt.Sprintf(path, namespace)
		for _, one := range []string{path, strings.TrimSuffix(path, "/one")} {
			sent := must[[]byte](t)(client.CoreV1().RESTClient().Get().AbsPath(one).SetHeader("Accept", inProtobuf).DoRaw(ctx))
			object, kind, err := serializer.Decode(sent, nil, nil)
			check(t, err)
			object.GetObjectKind().SetGroupVersionKind(*kind)
			var made bytes.Buffer
			check(t, serializer.Encode(object, &made))
			if !bytes.Equal(sent, made.Bytes()) {
				t.Errorf("%s:\nserver %x\nGo     %x", one, sent, made.Bytes())
			}
		}
	}
}

// A typed object is the same whether it came as JSON or as protobuf.
func TestJSONAndProtobufMeanTheSame(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	someOfEach(t, ctx, client, namespace)
	decode := scheme.Codecs.UniversalDeserializer()
	for _, path := range eachPath {
		path = fmt.Sprintf(path, namespace)
		eventually(t, path, func() error {
			var objects []runtime.Object
			for _, accept := range []string{"application/json", inProtobuf} {
				sent := must[[]byte](t)(client.CoreV1().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(ctx))
				object, _, err := decode.Decode(sent, nil, nil)
				check(t, err)
				object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
				objects = append(objects, object)
			}
			if !equality.Semantic.DeepEqual(objects[0], objects[1]) {
				return fmt.Errorf("JSON %+v\nprotobuf %+v", objects[0], objects[1])
			}
			return nil
		})
	}
}

// Informers of many kinds, as a controller has them: they list by a watch, in protobuf.
func TestInformersOfManyKinds(t *testing.T) {
	ctx, client, namespace, notes := clientsOf(t)
	someOfEach(t, ctx, client, namespace)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	all := map[string]cache.SharedIndexInformer{
		"configmaps": factory.Core().V1().ConfigMaps().Informer(), "secrets": factory.Core().V1().Secrets().Informer(),
		"serviceaccounts": factory.Core().V1().ServiceAccounts().Informer(), "services": factory.Core().V1().Services().Informer(),
		"persistentvolumeclaims": factory.Core().V1().PersistentVolumeClaims().Informer(), "limitranges": factory.Core().V1().LimitRanges().Informer(),
		"resourcequotas": factory.Core().V1().ResourceQuotas().Informer(), "deployments": factory.Apps().V1().Deployments().Informer(),
		"statefulsets": factory.Apps().V1().StatefulSets().Informer(), "cronjobs": factory.Batch().V1().CronJobs().Informer(),
		"ingresses": factory.Networking().V1().Ingresses().Informer(), "networkpolicies": factory.Networking().V1().NetworkPolicies().Informer(),
		"poddisruptionbudgets": factory.Policy().V1().PodDisruptionBudgets().Informer(), "roles": factory.Rbac().V1().Roles().Informer(),
		"pods": factory.Core().V1().Pods().Informer(), "endpointslices": factory.Discovery().V1().EndpointSlices().Informer(),
		"leases": factory.Coordination().V1().Leases().Informer(), "events": factory.Events().V1().Events().Informer(),
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(run.Done())
	for kind, synced := range factory.WaitForCacheSync(run.Done()) {
		check(t, want(kind.String(), synced, true))
	}
	for _, path := range eachPath {
		kind := strings.Split(path, "/")[len(strings.Split(path, "/"))-2]
		if _, there, err := all[kind].GetStore().GetByKey(namespace + "/one"); err != nil || !there {
			t.Errorf("the informer of %s does not have what was made: %v", kind, err)
		}
	}
	plain := notes.find(func(one seen) bool {
		return strings.Contains(one.url, "watch=true") && one.answered != inProtobuf+";stream=watch"
	})
	lists := notes.find(func(one seen) bool {
		return one.method == "GET" && strings.Contains(one.url, "/"+namespace+"/") && !strings.Contains(one.url, "watch=true")
	})
	if len(plain) > 0 || len(lists) > 0 {
		t.Fatalf("not a watch in protobuf: %+v; lists: %+v", plain, lists)
	}
	// A change and a deletion come as well.
	must[*corev1.Service](t)(client.CoreV1().Services(namespace).Patch(ctx, "one", types.MergePatchType, []byte(`{"metadata":{"labels":{"seen":"yes"}}}`), metav1.PatchOptions{}))
	check(t, client.RbacV1().Roles(namespace).Delete(ctx, "one", metav1.DeleteOptions{}))
	eventually(t, "the informers follow", func() error {
		found, _, err := all["services"].GetStore().GetByKey(namespace + "/one")
		check(t, err)
		_, there, err := all["roles"].GetStore().GetByKey(namespace + "/one")
		check(t, err)
		return want("label and role", []any{found.(*corev1.Service).Labels["seen"], there}, []any{"yes", false})
	})
}

func TestMetadataInformerSpeaksProtobuf(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, notes := configOf(t)
	someOfEach(t, ctx, client, namespace)
	things := must[metadata.Interface](t)(metadata.NewForConfig(config))
	factory := metadatainformer.NewFilteredSharedInformerFactory(things, 0, namespace, nil)
	secrets := factory.ForResource(corev1.SchemeGroupVersion.WithResource("secrets"))
	secrets.Informer()
	run, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(run.Done())
	factory.WaitForCacheSync(run.Done())
	object := must[runtime.Object](t)(secrets.Lister().ByNamespace(namespace).Get("one"))
	full := must[*corev1.Secret](t)(client.CoreV1().Secrets(namespace).Get(ctx, "one", metav1.GetOptions{}))
	check(t, want("metadata", fmt.Sprintf("%+v", object.(*metav1.PartialObjectMetadata).ObjectMeta), fmt.Sprintf("%+v", full.ObjectMeta)))
	plain := notes.find(func(one seen) bool { return !strings.HasPrefix(one.answered, inProtobuf) })
	if len(plain) > 0 {
		t.Fatalf("not in protobuf: %+v", plain)
	}
}
