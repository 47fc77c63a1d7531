import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const group = "harbour.example.com";

/** Objects of some thirty kinds, each with the name of the release. */
const everything = `apiVersion: v1
kind: ServiceAccount
metadata: { name: {{ .Release.Name }} }
---
apiVersion: v1
kind: Secret
metadata: { name: {{ .Release.Name }} }
stringData: { password: {{ .Values.password | quote }} }
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "shop.labels" . | nindent 4 }}
data:
  colour: {{ .Values.colour }}
  seen: {{ ((lookup "v1" "Namespace" "" "default").metadata).name | default "nothing" }}
  version: {{ .Capabilities.KubeVersion.Minor | quote }}
  gateways: {{ .Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1" | quote }}
---
apiVersion: v1
kind: ConfigMap
metadata: { name: {{ .Release.Name }}-kept, annotations: { helm.sh/resource-policy: keep } }
---
apiVersion: v1
kind: Service
metadata: { name: {{ .Release.Name }} }
spec: { selector: { app: {{ .Release.Name }} }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: {{ .Release.Name }} }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: {{ .Release.Name }} }
spec: { accessModes: [ReadWriteOnce], capacity: { storage: 1Gi }, hostPath: { path: /tmp } }
---
apiVersion: v1
kind: LimitRange
metadata: { name: {{ .Release.Name }} }
spec: { limits: [{ type: Container, default: { cpu: 100m } }] }
---
apiVersion: v1
kind: ResourceQuota
metadata: { name: {{ .Release.Name }} }
spec: { hard: { services: "20" } }
---
apiVersion: v1
kind: PodTemplate
metadata: { name: {{ .Release.Name }} }
template: { spec: { containers: [{ name: a, image: busybox }] } }
---
apiVersion: v1
kind: ReplicationController
metadata: { name: {{ .Release.Name }} }
spec:
  replicas: 0
  selector: { app: rc }
  template: { metadata: { labels: { app: rc } }, spec: { containers: [{ name: a, image: busybox }] } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  replicas: {{ .Values.replicas }}
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata: { labels: { app: {{ .Release.Name }} } }
    spec: { containers: [{ name: echo, image: {{ .Values.image | quote }}, ports: [{ containerPort: 8080 }] }] }
{{- range $kind := list "StatefulSet" "ReplicaSet" "DaemonSet" }}
---
apiVersion: apps/v1
kind: {{ $kind }}
metadata: { name: {{ $.Release.Name }} }
spec:
  {{- if ne $kind "DaemonSet" }}
  replicas: 0
  {{- end }}
  {{- if eq $kind "StatefulSet" }}
  serviceName: {{ $.Release.Name }}
  {{- end }}
  selector: { matchLabels: { app: {{ lower $kind }} } }
  template:
    metadata: { labels: { app: {{ lower $kind }} } }
    spec: { nodeSelector: { no: such }, containers: [{ name: a, image: busybox }] }
{{- end }}
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: {{ .Release.Name }} }
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: a, image: busybox }] } } } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: {{ .Release.Name }} }
spec:
  suspend: true
  template: { spec: { restartPolicy: Never, containers: [{ name: a, image: busybox }] } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: {{ .Release.Name }} }
spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: apps/v1, kind: ReplicaSet, name: {{ .Release.Name }} } }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: {{ .Release.Name }} }
spec: { minAvailable: 1, selector: { matchLabels: { app: {{ .Release.Name }} } } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: {{ .Release.Name }} }
spec: { podSelector: {} }
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: {{ .Release.Name }} }
spec: { controller: example.com/none }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: {{ .Release.Name }} }
spec: { defaultBackend: { service: { name: {{ .Release.Name }}, port: { name: http } } } }
{{- range $scope := list "" "Cluster" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata: { name: {{ $.Release.Name }} }
rules: [{ apiGroups: [""], resources: [pods], verbs: [get] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata: { name: {{ $.Release.Name }} }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: {{ $scope }}Role, name: {{ $.Release.Name }} }
subjects: [{ kind: ServiceAccount, name: {{ $.Release.Name }}, namespace: {{ $.Release.Namespace }} }]
{{- end }}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: {{ .Release.Name }} }
value: 10
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: {{ .Release.Name }} }
provisioner: example.com/none
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: { name: {{ .Release.Name }} }
spec: { holderIdentity: nobody }
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: { name: {{ .Release.Name }} }
handler: none
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: {{ .Release.Name }} }
spec:
  matchConstraints: { resourceRules: [{ apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets] }] }
  validations: [{ expression: "object.metadata.name != 'forbidden'" }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: {{ .Release.Name }} }
spec: { rules: [{ backendRefs: [{ name: {{ .Release.Name }}, port: 80 }] }] }
{{- if .Values.tons }}
---
apiVersion: ${group}/v1
kind: Crane
metadata: { name: {{ .Release.Name }} }
spec: { tons: {{ .Values.tons }} }
{{- end }}
`;

const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: cranes.${group} }
spec:
  group: ${group}
  scope: Namespaced
  names: { plural: cranes, singular: crane, kind: Crane }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: { spec: { type: object, properties: { tons: { type: integer, maximum: 100 } } } }
`;

const hook = (name: string, events: string, weight: number, policy = "before-hook-creation") => `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-${name}
  annotations:
    helm.sh/hook: ${events}
    helm.sh/hook-weight: "${weight}"
    helm.sh/hook-delete-policy: ${policy}
data: { revision: "{{ .Release.Revision }}" }
`;

const podHook = (name: string, events: string, policy: string, command: string) => `apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-${name}
  annotations: { helm.sh/hook: "${events}", helm.sh/hook-weight: "5", helm.sh/hook-delete-policy: "${policy}" }
spec:
  restartPolicy: Never
  containers: [{ name: run, image: busybox, command: [sh, -c, "${command}"], resources: { limits: { cpu: 100m } } }]
`;

const jobHook = `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-job
  annotations: { helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-delete-policy: before-hook-creation }
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{ name: run, image: busybox, command: [sh, -c, "exit {{ .Values.exit }}"] }]
`;

const labels = `{{- define "shop.labels" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
`;

/** Writes the chart with its subchart, definitions and hooks into `folder`. */
export async function writeChart(folder: string): Promise<void> {
  const files: Record<string, string> = {
    "Chart.yaml": "apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: '1'\nkubeVersion: '>= 1.30.0-0'\n",
    "values.yaml":
      "colour: red\npassword: pw\nreplicas: 1\nimage: fairlead.dev/echo\ntons: 3\nexit: 0\nsub: { enabled: true, word: from-parent }\n",
    "values.schema.json": '{"type":"object","properties":{"replicas":{"type":"integer","minimum":0}}}\n',
    "templates/_helpers.tpl": labels,
    "templates/all.yaml": everything,
    "templates/NOTES.txt": "{{ .Release.Name }} is {{ .Values.colour }}.\n",
    "templates/hooks.yaml": [
      hook("pre-install", "pre-install", -5),
      hook("gone", "pre-install", 0, "hook-succeeded"),
      hook("pre-upgrade", "pre-upgrade", 0),
      hook("post-upgrade", "post-upgrade", 0),
      hook("pre-rollback", "pre-rollback", 0),
      hook("post-rollback", "post-rollback", 0),
      hook("pre-delete", "pre-delete", 0),
      hook("post-delete", "post-delete", 0),
      podHook("before", "pre-install,pre-upgrade", "before-hook-creation", "echo prepared"),
      jobHook,
    ].join("---\n"),
    "templates/tests/works.yaml": podHook("works", "test", "before-hook-creation", "echo the test ran"),
    "crds/crane.yaml": crd,
    "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
    "charts/sub/values.yaml": "word: own\n",
    "charts/sub/templates/map.yaml":
      "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: {{ .Release.Name }}-sub }\ndata: { word: {{ .Values.word }} }\n",
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}
