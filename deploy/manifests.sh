#!/bin/bash
# What follows from something else in this folder: manifests/ is the chart's default output, and the
# chart's schema names the options of the program.
#
#   deploy/manifests.sh --write|--check KINDRED HELM
set -eu
how=$1 kindred=$2 helm=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One file a template, as kubectl apply -k takes them.
render() {
	"$helm" template kindred "$here/helm/kindred" --namespace kindred --kube-version 1.33.0 \
		--output-dir "$work" >/dev/null
	mv "$work/kindred/templates" "$work/manifests"
	cp "$here/manifests/namespace.yaml" "$work/manifests/"
	(
		cd "$work/manifests"
		cat <<-'END'
			# Written by deploy/manifests.sh: the chart's default output, in a namespace of its own.
			apiVersion: kustomize.config.k8s.io/v1beta1
			kind: Kustomization
			resources:
		END
		printf -- '  - %s\n' *.yaml
	) >"$work/kustomization.yaml"
	mv "$work/kustomization.yaml" "$work/manifests/"
}

python3 "$here/helm/options.py" "$how" "$kindred"
render
if [ "$how" = --write ]; then
	rm -rf "$here/manifests"
	cp -r "$work/manifests" "$here/manifests"
else
	diff -ru "$here/manifests" "$work/manifests" || {
		echo "deploy/manifests is not what the chart renders: deploy/manifests.sh --write"
		exit 1
	}
fi
