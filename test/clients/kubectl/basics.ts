import { fails, k, type KubectlCase } from "./case.ts";

const configMap = (value: string) => `apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: kt }
data: { colour: ${value} }
`;

const pod = `apiVersion: v1
kind: Pod
metadata: { name: single, namespace: kt, labels: { app: single } }
spec:
  containers:
    - { name: echo, image: fairlead.dev/echo, ports: [{ containerPort: 8080 }] }
`;

/** As manifests often have it: with a namespace, though the kind has none. */
const placedRole = (verb: string) => `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: placed, namespace: default }
rules: [{ apiGroups: [""], resources: [pods], verbs: [${verb}] }]
`;

const ingress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, namespace: kt }
spec:
  ingressClassName: fairlead
  rules:
    - host: web.example.test
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] }
`;

/** The commands of the acceptance list, grouped by what they are about. */
export const basics: Readonly<Record<string, readonly KubectlCase[]>> = {
  "the server": [
    k("version", [/^Client Version: v1\.35\./m, /^Server Version: v1\.3\d\./m]),
    k("version -o json", [/"serverVersion"/, /"gitVersion": "v1\.3\d/]),
    k("cluster-info", [/Kubernetes control plane.* is running at .*https:\/\/127\.0\.0\.1:6443/]),
    k("api-versions", [/^apps\/v1$/m, /^discovery\.k8s\.io\/v1$/m, /^networking\.k8s\.io\/v1$/m, /^v1$/m]),
    k("api-resources", [
      /^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND$/m,
      /^services +svc +v1 +true +Service$/m,
      /^deployments +deploy +apps\/v1 +true +Deployment$/m,
      /^ingresses +ing +networking\.k8s\.io\/v1 +true +Ingress$/m,
      /^nodes +no +v1 +false +Node$/m,
      /^endpointslices +discovery\.k8s\.io\/v1 +true +EndpointSlice$/m,
    ]),
    k("api-resources --namespaced=false -o name", [/^namespaces$/m, /^clusterroles\.rbac\.authorization\.k8s\.io$/m]),
    k("get --raw /readyz", [/^ok$/]),
    k("get --raw /healthz", [/^ok$/]),
    k("auth whoami", [/Username/]),
    k("auth can-i create deployments -A", [/^yes$/m]),
    k("get nodes", [/^NAME +STATUS +ROLES +AGE +VERSION$/m, / Ready /]),
    k("get nodes -o wide", [
      /^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME$/m,
    ]),
    k("describe nodes", [/^Conditions:/m, /^Capacity:/m, /^PodCIDR:/m, /^Allocated resources:/m]),
    k("get namespaces", [/^NAME +STATUS +AGE$/m, /^default +Active/m, /^kube-system +Active/m]),
    k("describe clusterrole view", [/^ +pods +\[\] +\[\] +\[get list watch\]$/m]),
    k("apply -f -", [/^clusterrole\.rbac\.authorization\.k8s\.io\/placed created$/m], { input: placedRole("get") }),
    k("apply -f -", [/^clusterrole\.\S+\/placed configured$/m], { input: placedRole("list") }),
    k("explain pods.spec.containers.readinessProbe", [/^KIND: +Pod$/m, /^VERSION: +v1$/m, /httpGet/, /periodSeconds/]),
    k("explain deployment.spec.strategy --recursive", [/rollingUpdate/, /maxSurge/]),
    k("explain ingress --api-version=networking.k8s.io/v1", [/^GROUP: +networking\.k8s\.io$/m]),
  ],

  "create and get": [
    k("create namespace kt", [/^namespace\/kt created$/m]),
    k("create deployment web -n kt --image=fairlead.dev/echo --replicas=2 --port=8080", [
      /^deployment\.apps\/web created$/m,
    ]),
    fails("create deployment web -n kt --image=fairlead.dev/echo", [
      /^error: failed to create deployment: deployments\.apps "web" already exists$/m,
    ]),
    k("rollout status deployment/web -n kt --timeout=60s", [/^deployment "web" successfully rolled out$/m]),
    k("wait -n kt --for=condition=Available deployment/web --timeout=30s", [/^deployment\.apps\/web condition met$/m]),
    k("wait -n kt --for=jsonpath={.status.readyReplicas}=2 deployment/web --timeout=30s", [/condition met$/m]),
    k("get deployments -n kt", [/^NAME +READY +UP-TO-DATE +AVAILABLE +AGE$/m, /^web +2\/2 +2 +2 /m]),
    k("get deploy web -n kt -o wide", [
      /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR$/m,
      / echo +fairlead\.dev\/echo +app=web$/m,
    ]),
    k("get rs -n kt", [/^NAME +DESIRED +CURRENT +READY +AGE$/m, /^web-\w+ +2 +2 +2 /m]),
    k("get pods -n kt", [/^NAME +READY +STATUS +RESTARTS +AGE$/m, /^web-\w+-\w{5} +1\/1 +Running +0 /m]),
    k("get pods -n kt -o wide", [
      /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$/m,
      / <none> +<none>$/m,
    ]),
    k("get pods -n kt -l app=web --show-labels", [/ LABELS$/m, /app=web,pod-template-hash=/]),
    k("get pods -A --field-selector status.phase=Running", [/^NAMESPACE +NAME /m, /^kt +web-/m]),
    k("get pods -n kt -l app=other", [], { err: [/^No resources found in kt namespace\.$/m] }),
    k("get pods -n kt --sort-by=.metadata.name -o name", [/^pod\/web-/m]),
    k("get deploy web -n kt -o yaml", [/^apiVersion: apps\/v1$/m, /^ {2}replicas: 2$/m, /^ {4}type: RollingUpdate$/m]),
    k("get deploy web -n kt -o json", [/"kind": "Deployment"/, /"progressDeadlineSeconds": 600/]),
    k("get deploy web -n kt -o jsonpath={.spec.template.spec.containers[0].image}", [/^fairlead\.dev\/echo$/]),
    k("get pods -n kt -o custom-columns=N:.metadata.name,P:.status.phase", [/^N +P$/m, / Running$/m]),
    k("get all -n kt", [/^pod\/web-/m, /^deployment\.apps\/web/m, /^replicaset\.apps\/web-/m]),
    fails("get pod nope -n kt", [/^Error from server \(NotFound\): pods "nope" not found$/m]),
    fails("get gadgets", [/^error: the server doesn't have a resource type "gadgets"$/m]),
    k("get events -n kt", [/^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$/m, /Scheduled/]),
    k("get events.events.k8s.io -n kt --field-selector=regarding.kind=Deployment,type=Normal", [/ScalingReplicaSet/]),
    k("events -n kt", [/^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$/m]),
    k("get serviceaccounts -n kt", [/^default /m]),
    k("get configmaps -n kt", [/^kube-root-ca\.crt +1 /m]),
    k("create configmap app -n kt --from-literal=a=1", [/^configmap\/app created$/m]),
    k("create secret generic key -n kt --from-literal=password=x", [/^secret\/key created$/m]),
    k("get secret key -n kt", [/^NAME +TYPE +DATA +AGE$/m, /^key +Opaque +1 /m]),
    k("create serviceaccount robot -n kt", [/^serviceaccount\/robot created$/m]),
    k("create role reader -n kt --verb=get,list --resource=pods", [
      /^role\.rbac\.authorization\.k8s\.io\/reader created$/m,
    ]),
    k("create rolebinding read -n kt --role=reader --serviceaccount=kt:robot", [/^rolebinding\.\S+\/read created$/m]),
    k("auth can-i list pods -n kt --as=system:serviceaccount:kt:robot", [/^yes$/m]),
    k("auth can-i delete pods -n kt --as=system:serviceaccount:kt:robot", [/^no$/m], { code: 1 }),
    k("create -f - --dry-run=server -o name", [/^pod\/single$/m], { input: pod }),
    fails("get pod single -n kt", [/NotFound/]),
  ],

  "expose and describe": [
    k("expose deployment web -n kt --port=80 --target-port=8080", [/^service\/web exposed$/m]),
    k("get svc -n kt", [
      /^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE$/m,
      /^web +ClusterIP +\S+ +<none> +80\/TCP /m,
    ]),
    k("get svc web -n kt -o wide", [/ SELECTOR$/m, / app=web$/m]),
    k("expose deployment web -n kt --name=outside --type=NodePort --port=80 --target-port=8080", [/exposed$/m]),
    k("get svc outside -n kt", [/^outside +NodePort +\S+ +<none> +80:3[0-2]\d{3}\/TCP /m]),
    k("create service loadbalancer front -n kt --tcp=80:8080", [/^service\/front created$/m]),
    k("set selector service front -n kt app=web", [/^service\/front selector updated$/m]),
    k("wait -n kt --for=jsonpath={.status.loadBalancer.ingress[0].ip} service/front --timeout=30s", [
      /condition met$/m,
    ]),
    k("get endpoints web -n kt", [/^NAME +ENDPOINTS +AGE$/m, /^web +\S+:8080,\S+:8080 /m]),
    k("get endpointslices -n kt -l kubernetes.io/service-name=web", [
      /^NAME +ADDRESSTYPE +PORTS +ENDPOINTS +AGE$/m,
      /^web-\w+ +IPv4 +8080 +\S+,\S+ /m,
    ]),
    k("create -f -", [/^ingress\.networking\.k8s\.io\/web created$/m], { input: ingress }),
    k("get ingress -n kt", [/^NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE$/m, /^web +fairlead +web\.example\.test /m]),
    k("describe deployment web -n kt", [
      /^Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable$/m,
      /^StrategyType: +RollingUpdate$/m,
      /ScalingReplicaSet/,
    ]),
    k("describe pods -n kt -l app=web", [/^Status: +Running$/m, /^ +Image: +fairlead\.dev\/echo$/m, /^Events:/m]),
    k("describe service web -n kt", [/^Type: +ClusterIP$/m, /^Endpoints: +\S+:8080,\S+:8080$/m]),
    k("describe ingress web -n kt", [/^Ingress Class: +fairlead$/m, /web:80 \(\S+:8080,\S+:8080\)/]),
    k("describe namespace kt", [/^Status: +Active$/m]),
  ],

  "apply, diff, edit and patch": [
    k("apply -f -", [/^configmap\/settings created$/m], { input: configMap("red") }),
    k("apply -f -", [/^configmap\/settings unchanged$/m], { input: configMap("red") }),
    k("diff -f -", [], { input: configMap("red") }),
    k("diff -f -", [/^- +colour: red$/m, /^\+ +colour: blue$/m], { input: configMap("blue"), code: 1 }),
    k("apply -f - --dry-run=server", [/^configmap\/settings configured \(server dry run\)$/m], {
      input: configMap("blue"),
    }),
    k("get cm settings -n kt -o jsonpath={.data.colour}", [/^red$/]),
    k("apply -f -", [/^configmap\/settings configured$/m], { input: configMap("blue") }),
    k("edit configmap settings -n kt", [/^configmap\/settings edited$/m], {
      env: { KUBE_EDITOR: "sed -i s/blue/green/" },
    }),
    k("get cm settings -n kt -o jsonpath={.data.colour}", [/^green$/]),
    k("edit configmap settings -n kt", [], {
      env: { KUBE_EDITOR: "true" },
      err: [/^Edit cancelled, no changes made\.$/m],
    }),
    k(`patch cm settings -n kt --type=merge -p '{"data":{"size":"xl"}}'`, [/^configmap\/settings patched$/m]),
    k(`patch cm settings -n kt --type=json -p '[{"op":"remove","path":"/data/size"}]'`, [/patched$/m]),
    k(`patch cm settings -n kt --type=json -p '[{"op":"test","path":"/data/colour","value":"green"}]'`, [
      /patched \(no change\)$/m,
    ]),
    k(
      `patch deployment web -n kt -p '{"spec":{"template":{"spec":{"containers":[{"name":"echo","env":[{"name":"A","value":"1"}]}]}}}}'`,
      [/^deployment\.apps\/web patched$/m],
    ),
    k("get deploy web -n kt -o jsonpath={.spec.template.spec.containers[0].image}", [/^fairlead\.dev\/echo$/]),
    fails(`patch svc web -n kt --type=merge -p '{"spec":{"clusterIP":"10.0.0.1"}}'`, [
      /^The Service "web" is invalid: /m,
      /spec\.clusterIP/,
      /field is immutable|may not change once set/,
    ]),
    k("label deployment web -n kt tier=front", [/^deployment\.apps\/web labeled$/m]),
    fails("label deployment web -n kt tier=back", [/already has a value \(front\), and --overwrite is false/]),
    k("label deployment web -n kt tier=back --overwrite", [/labeled$/m]),
    k("label deployment web -n kt tier-", [/^deployment\.apps\/web unlabeled$/m]),
    k("annotate deployment web -n kt note=hello", [/^deployment\.apps\/web annotated$/m]),
    k("get deploy web -n kt -o jsonpath={.metadata.annotations.note}", [/^hello$/]),
    k("annotate deployment web -n kt note-", [/annotated$/m]),
    k("replace -f -", [/^configmap\/settings replaced$/m], { input: configMap("white") }),
  ],

  "scale and roll out": [
    k("scale deployment web -n kt --replicas=3", [/^deployment\.apps\/web scaled$/m]),
    k("rollout status deployment/web -n kt --timeout=60s", [/successfully rolled out/]),
    k("get deploy web -n kt", [/^web +3\/3 +3 +3 /m]),
    fails("scale deployment web -n kt --current-replicas=1 --replicas=5", [/Expected replicas to be 1, was 3/]),
    k("set image deployment/web -n kt echo=fairlead.dev/echo:v2", [/^deployment\.apps\/web image updated$/m]),
    k("rollout status deployment/web -n kt --timeout=90s", [/successfully rolled out/]),
    k("rollout history deployment/web -n kt", [/^REVISION +CHANGE-CAUSE$/m, /^3 +<none>$/m]),
    k("rollout history deployment/web -n kt --revision=3", [/Image:\s+fairlead\.dev\/echo:v2/]),
    k("rollout undo deployment/web -n kt", [/^deployment\.apps\/web rolled back$/m]),
    k("rollout status deployment/web -n kt --timeout=90s", [/successfully rolled out/]),
    k("get deploy web -n kt -o jsonpath={.spec.template.spec.containers[0].image}", [/^fairlead\.dev\/echo$/]),
    k("rollout undo deployment/web -n kt --to-revision=3", [/rolled back$/m]),
    k("rollout restart deployment/web -n kt", [/^deployment\.apps\/web restarted$/m]),
    k("rollout pause deployment/web -n kt", [/paused$/m]),
    k("rollout resume deployment/web -n kt", [/resumed$/m]),
    k("rollout status deployment/web -n kt --timeout=90s", [/successfully rolled out/]),
    k("scale deployment web -n kt --replicas=2", [/scaled$/m]),
    k("set env deployment/web -n kt B=2", [/^deployment\.apps\/web env updated$/m]),
    k("set resources deployment/web -n kt --requests=cpu=10m", [/resource requirements updated$/m]),
    k("rollout status deployment/web -n kt --timeout=90s", [/successfully rolled out/]),
  ],

  "pods and logs": [
    k("apply -f -", [/^pod\/single created$/m], { input: pod }),
    k("wait -n kt --for=condition=Ready pod/single --timeout=60s", [/^pod\/single condition met$/m]),
    k("logs single -n kt", [/answers HTTP on /], { soon: true }),
    k("logs single -n kt --tail=1 --timestamps", [/^\d{4}-\d\d-\d\dT[\d:.]+Z /]),
    k("logs deployment/web -n kt --tail=1", [/./], {}),
    k("logs -n kt -l app=single --prefix", [/^\[pod\/single\/echo\] /m]),
    k("set image pod/single -n kt echo=fairlead.dev/echo:v3", [/^pod\/single image updated$/m]),
    k("wait -n kt --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/single --timeout=60s"),
    k("get pod single -n kt -o jsonpath={.status.containerStatuses[0].image}", [/^fairlead\.dev\/echo:v3$/]),
    k("logs single -n kt --previous", [/answers HTTP on /]),
    k("exec single -n kt -- echo inside", [/^inside$/m]),
    fails("exec single -n kt -- sh -c 'exit 3'", [/command terminated with exit code 3/], { code: 3 }),
    fails("logs single -n kt -c other", [/container other is not valid for pod single/]),
    k("run once -n kt --image=fairlead.dev/echo --restart=Never", [/^pod\/once created$/m]),
    k("run wrong -n kt --image=no.example.test/app", [/^pod\/wrong created$/m]),
    k("wait -n kt --for=jsonpath={.status.containerStatuses[0].state.waiting.reason} pod/wrong --timeout=30s", [
      /condition met/,
    ]),
    k("describe pod wrong -n kt", [/--image/]),
    k("cordon -l kubernetes.io/hostname", [/cordoned$/m]),
    k("uncordon -l kubernetes.io/hostname", [/uncordoned$/m]),
    k("taint nodes --all a=b:NoSchedule", [/ tainted$/m]),
    k("taint nodes --all a=b:NoSchedule-", [/ untainted$/m]),
  ],

  delete: [
    k("delete pod wrong -n kt --wait=false", [/^pod "wrong" deleted/m]),
    k("delete pod single -n kt --now", [/^pod "single" deleted/m]),
    k("delete pod once -n kt --grace-period=0 --force", [/^pod "once" force deleted/m]),
    k("wait -n kt --for=delete pod/single --timeout=30s"),
    fails("get pod once -n kt", [/NotFound/]),
    fails("delete pod nope -n kt", [/NotFound/]),
    k("delete pod nope -n kt --ignore-not-found"),
    k("delete ingress,svc --all -n kt", [/^ingress\.networking\.k8s\.io "web" deleted/m, /^service "web" deleted/m]),
    k("delete deployment web -n kt --cascade=orphan", [/^deployment\.apps "web" deleted/m]),
    k("get rs -n kt -o name", [/^replicaset\.apps\/web-/m]),
    k("delete rs -n kt -l app=web --cascade=foreground --timeout=60s", [/deleted/]),
    k("get pods -n kt -l app=web", [], { err: [/No resources found/] }),
    k("delete cm settings -n kt --dry-run=server", [/deleted.*\(server dry run\)$/m]),
    k("delete -f - --grace-period=1", [/^configmap "settings" deleted/m], { input: configMap("white") }),
    k("delete namespace kt --timeout=60s", [/^namespace "kt" deleted$/m]),
    fails("get namespace kt", [/NotFound/]),
  ],
};
