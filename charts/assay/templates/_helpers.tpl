{{- define "assay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "assay.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "assay.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "assay.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "assay.selector" -}}
app.kubernetes.io/name: {{ include "assay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "assay.labels" -}}
{{ include "assay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "assay.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "assay.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The reference of an image: (list root image-values) */}}
{{- define "assay.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do in the namespaces it watches. One list, for the ClusterRole and for every Role. */}}
{{- define "assay.rules" -}}
# A sweep makes, suspends and deletes audits of its own.
- apiGroups: [assay.dev]
  resources: [accuracyaudits]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [assay.dev]
  resources: [accuracysweeps, gpuscreenings]
  verbs: [get, list, watch]
- apiGroups: [assay.dev]
  resources: [accuracyaudits/status, accuracysweeps/status, gpuscreenings/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
# Why Jobs wait in Kueue's queues, where there is a Kueue.
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end }}

{{/* The PriorityClass that the chart makes for Pods that screen GPUs; empty where it makes none. An operator of single
     namespaces screens nothing, for it may not list nodes. */}}
{{- define "assay.screeningClass" -}}
{{- if and (dig "priorityClass" "create" true (.Values.screening | default dict)) (not .Values.namespaces) -}}
{{ include "assay.fullname" . }}-screening
{{- end }}
{{- end }}

{{- define "assay.subject" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "assay.serviceAccount" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The operator's settings; every one of them is read in operator/src/assay_operator/settings.py. */}}
{{- define "assay.env" -}}
- {name: ASSAY_RUNNER_IMAGE, value: {{ include "assay.image" (list . .Values.runner.image) | quote }}}
- {name: ASSAY_RUNNER_PULL_POLICY, value: {{ .Values.runner.image.pullPolicy | quote }}}
- {name: ASSAY_RUNNER_SERVICE_ACCOUNT, value: {{ .Values.runner.serviceAccount | quote }}}
- {name: ASSAY_TASK_PODS, value: {{ include "assay.taskPods" . | quote }}}
- {name: ASSAY_GPU_HOUR_PRICES, value: {{ .Values.metrics.gpuHourPrices | default dict | toJson | quote }}}
- {name: ASSAY_SCREENING_PRIORITY_CLASS, value: {{ if include "assay.screeningClass" . }}{{ include "assay.screeningClass" . | quote }}{{ else }}""{{ end }}}
- {name: ASSAY_NODE_CONDITIONS, value: {{ dig "nodeConditions" false (.Values.screening | default dict) | quote }}}
- {name: ASSAY_AUDITS_PER_NAMESPACE, value: {{ .Values.audits.keepPerNamespace | int64 | quote }}}
- {name: ASSAY_TASKS_AT_ONCE, value: {{ .Values.tasks.atOnce | int64 | quote }}}
- {name: ASSAY_TASKS_AT_ONCE_PER_NAMESPACE, value: {{ .Values.tasks.atOncePerNamespace | int64 | quote }}}
- {name: ASSAY_STORAGE_RETRY_SECONDS, value: {{ if kindIs "invalid" .Values.runner.storageRetrySeconds }}""{{ else }}{{ .Values.runner.storageRetrySeconds | quote }}{{ end }}}
- {name: ASSAY_NAMESPACES, value: {{ join "," .Values.namespaces | quote }}}
- {name: ASSAY_WORKERS, value: {{ .Values.workers | quote }}}
- {name: ASSAY_RESYNC_SECONDS, value: {{ .Values.resyncSeconds | quote }}}
- {name: ASSAY_PROGRESS_SECONDS, value: {{ .Values.progressSeconds | quote }}}
- {name: ASSAY_LEASE_NAME, value: {{ include "assay.fullname" . | quote }}}
- {name: ASSAY_LEASE_NAMESPACE, value: {{ .Release.Namespace | quote }}}
- {name: ASSAY_LEASE_SECONDS, value: {{ .Values.lease.seconds | quote }}}
- {name: ASSAY_RENEW_SECONDS, value: {{ .Values.lease.renewSeconds | quote }}}
- {name: ASSAY_LEASE_RETRY_SECONDS, value: {{ .Values.lease.retrySeconds | quote }}}
- {name: ASSAY_METRICS_PORT, value: {{ .Values.metrics.port | quote }}}
- {name: ASSAY_PROBE_PORT, value: {{ .Values.probes.port | quote }}}
- {name: ASSAY_LOG_LEVEL, value: {{ .Values.log.level | quote }}}
- {name: ASSAY_LOG_FORMAT, value: {{ .Values.log.format | quote }}}
{{- end }}

{{/* What task Pods look like, as JSON; what is empty says nothing. */}}
{{- define "assay.taskPods" -}}
{{- $said := dict }}
{{- range $key := list "podLabels" "podAnnotations" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "requests" "priorityClassName" }}
{{- with index $.Values.tasks $key }}{{ $_ := set $said $key . }}{{ end }}
{{- end }}
{{- if $said }}{{ toJson $said }}{{ end }}
{{- end }}

{{/* Labels of an alert: (list root severity) */}}
{{- define "assay.alertLabels" -}}
{{- $root := index . 0 -}}
severity: {{ index . 1 }}
{{- with $root.Values.metrics.prometheusRule.alertLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What an object claims to be, as variables of an admission policy; the argument: who may make such objects. An owner
     may go, as it does where the garbage collector orphans, and `blockOwnerDeletion` is no claim. */}}
{{- define "assay.claims" -}}
- name: maker
  expression: request.userInfo.username in {{ toJson . }}
- name: labels
  expression: object.?metadata.?labels.orValue({})
- name: oldLabels
  expression: "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"
- name: oldOwners
  expression: "oldObject == null ? [] : oldObject.metadata.?ownerReferences.orValue([])"
- name: newOwners
  expression: >-
    object.?metadata.?ownerReferences.orValue([]).filter(new, !variables.oldOwners.exists(old,
      old.uid == new.uid && old.apiVersion == new.apiVersion && old.kind == new.kind && old.name == new.name
      && old.?controller.orValue(false) == new.?controller.orValue(false)))
{{- end }}
