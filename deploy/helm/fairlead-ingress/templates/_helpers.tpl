{{- define "fairlead-ingress.labels" -}}
app.kubernetes.io/name: fairlead-ingress
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "fairlead-ingress.selector" -}}
app.kubernetes.io/name: fairlead-ingress
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
