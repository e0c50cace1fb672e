{{/* What the schema cannot say: values that contradict each other. Included by configmap.yaml. */}}
{{- define "kindred.check" -}}
{{- $c := .Values.collector -}}
{{- $collector := include "kindred.hasCollector" . -}}
{{- if not (or .Values.node.enabled $collector) -}}
{{- fail "node.enabled and collector.enabled are both false: there would be nothing" -}}
{{- end -}}
{{- if and $collector (include "kindred.hasStore" .) (ne (int $c.replicas) 1) -}}
{{- fail (printf "collector.replicas is %v, and files (sqlite:, jsonl:, ledger) are one replica's alone: set collector.replicas=1, or use qdrant:, chroma:, neo4j: or http:" $c.replicas) -}}
{{- end -}}
{{- if and $collector (gt (int $c.replicas) 1) (not $c.leaderElection) -}}
{{- fail (printf "collector.replicas is %v without collector.leaderElection: all of them would write" $c.replicas) -}}
{{- end -}}
{{- if and (not $collector) (include "kindred.hasResources" .) -}}
{{- fail "collector.vector, graph, events, capabilities and keepResources need collector.enabled=true" -}}
{{- end -}}
{{- if and .Values.otlp.endpoint (not (include "kindred.hasFlows" .)) -}}
{{- fail "otlp.endpoint needs flows: node.enabled=true and node.flows.mode other than off" -}}
{{- end -}}
{{- if and .Values.peers.tls.secretName .Values.peers.tls.issuerRef -}}
{{- fail "peers.tls.secretName and peers.tls.issuerRef: give one of them" -}}
{{- end -}}
{{- if and .Values.flowControl.enabled (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail "flowControl needs Kubernetes 1.29 (flowcontrol.apiserver.k8s.io/v1): set flowControl.enabled=false" -}}
{{- end -}}
{{- end -}}
