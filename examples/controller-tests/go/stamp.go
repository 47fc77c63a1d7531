// Package stamp is a controller: ConfigMaps with the label `stamp` get the annotation `stamped`.
package stamp

import (
	"context"
	"log"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Run follows ConfigMaps until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(options *metav1.ListOptions) {
		options.LabelSelector = "stamp"
	}))
	stamp := func(object any) {
		one := object.(*corev1.ConfigMap)
		if one.Annotations["stamped"] != "" {
			return
		}
		patch := []byte(`{"metadata":{"annotations":{"stamped":"yes"}}}`)
		if _, err := client.CoreV1().ConfigMaps(one.Namespace).Patch(ctx, one.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			log.Printf("%s/%s: %v", one.Namespace, one.Name, err)
		}
	}
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    stamp,
		UpdateFunc: func(_, object any) { stamp(object) },
	}); err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}
