{{/* Permissions, each with the feature that needs it. */}}

{{/* One Role and its binding: (list . COMPONENT NAME NAMESPACE RULES). */}}
{{- define "kindred.role" -}}
{{- $top := index . 0 -}}
{{- $account := ternary (include "kindred.agentAccount" $top) (include "kindred.collectorAccount" $top) (eq (index . 1) "agent") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ index . 2 }}
  namespace: {{ index . 3 }}
  labels:
    {{- include "kindred.labels" (list $top (index . 1)) | nindent 4 }}
rules:
  {{- index . 4 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ index . 2 }}
  namespace: {{ index . 3 }}
  labels:
    {{- include "kindred.labels" (list $top (index . 1)) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ index . 2 }}
subjects:
  - kind: ServiceAccount
    name: {{ $account }}
    namespace: {{ $top.Release.Namespace }}
{{- end -}}

{{- define "kindred.followRules" -}}
{{- range .Values.followOwners }}
# Owners: custom resources, read one by one.
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  verbs: [get]
{{- end }}
{{- end -}}

{{- define "kindred.probeRules" -}}
{{- if eq .Values.probe.auth "kube" }}
# Scrapers: whose token it is, and whether he may get /metrics.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end -}}

{{- define "kindred.agentRules" -}}
# The pods of its node (spec.nodeName).
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Owners, read one by one as metadata.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get]
# Its own Node: zone, instance type, addresses.
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
{{- include "kindred.followRules" . }}
{{- include "kindred.probeRules" . }}
{{- end -}}

{{- define "kindred.configRules" -}}
# Its configuration, watched.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ . }}]
  verbs: [list, watch]
{{- end -}}

{{- define "kindred.agentLocalRules" -}}
{{- if .Values.rbac.watchConfig }}{{ include "kindred.configRules" (include "kindred.agentName" .) }}{{ end -}}
{{- end -}}

{{/* Named namespaces are watched by Roles there. */}}
{{- define "kindred.byNamespace" -}}
{{- $n := .Values.collector.namespaces -}}
{{- if and $n (not (has "*" $n)) }}true{{ end -}}
{{- end -}}

{{/* Resources of no namespace that every server has: Roles cannot grant them. As a JSON list. */}}
{{- define "kindred.wideKinds" -}}
{{- list "apiservices" "certificatesigningrequests" "clusterrolebindings" "clusterroles" "componentstatuses" "csidrivers" "csinodes" "customresourcedefinitions" "flowschemas" "ingressclasses" "mutatingwebhookconfigurations" "namespaces" "nodes" "persistentvolumes" "priorityclasses" "prioritylevelconfigurations" "runtimeclasses" "storageclasses" "validatingadmissionpolicies" "validatingadmissionpolicybindings" "validatingwebhookconfigurations" "volumeattachments" | toJson -}}
{{- end -}}

{{/* A rule for each name of config.watchResourceTypes that is in a namespace, in none, or in either:
(list . NAMESPACED WIDE). */}}
{{- define "kindred.namedRules" -}}
{{- $wide := include "kindred.wideKinds" . | fromJsonArray -}}
{{- $in := index . 1 -}}
{{- $out := index . 2 -}}
{{- range include "kindred.names" (index . 0).Values.config.watchResourceTypes | fromJsonArray }}
{{- $parts := splitn "." 2 . }}
{{- if ternary $out $in (has $parts._0 $wide) }}
- apiGroups: [{{ default "*" $parts._1 | quote }}]
  resources: [{{ $parts._0 }}]
  verbs: [get, list, watch]
{{- end }}
{{- end }}
{{- end -}}

{{/* What is watched in every namespace, or in each one that is named. */}}
{{- define "kindred.watchRules" -}}
# Pods and their owners.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch]
{{- if include "kindred.hasPeers" . }}
# Remote ends: Services' addresses.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
{{- end }}
{{- if include "kindred.hasResources" . }}
# Resources for databases, graph and events; get: what memory had no room for.
{{- if .Values.config.watchResourceTypes }}
{{- include "kindred.namedRules" (list . true (not (include "kindred.byNamespace" .))) }}
{{- else }}
- apiGroups: ["*"]
  resources: ["*"]
  verbs: [get, list, watch]
{{- end }}
{{- end }}
{{- end -}}

{{- define "kindred.collectorRules" -}}
{{- if not (include "kindred.byNamespace" .) }}
{{- include "kindred.watchRules" . }}
{{- end }}
{{- if include "kindred.hasPeers" . }}
# Remote ends: Nodes' addresses.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
{{- if include "kindred.hasResources" . }}
{{- if include "kindred.byNamespace" . }}
{{- include "kindred.namedRules" (list . false true) }}
{{- end }}
# Kinds as they come and go.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- end }}
{{- if and (include "kindred.hasResources" .) (or (has "*" .Values.collector.namespaces) (hasKey .Values.collector.config "namespace-selector")) }}
# Namespaces as they come and go.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- include "kindred.followRules" . }}
{{- include "kindred.probeRules" . }}
{{- with .Values.rbac.collectorRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kindred.collectorLocalRules" -}}
{{- if .Values.collector.leaderElection }}
# One leader: the only object that is ever written.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "kindred.lease" . }}]
  verbs: [get, update]
{{- end }}
{{- if .Values.rbac.watchConfig }}
{{ include "kindred.configRules" (include "kindred.collectorName" .) }}
{{- end }}
{{- end -}}
