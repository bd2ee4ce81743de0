#!/bin/sh
# The first graceful drain, in a cluster of your own: the demo (RabbitMQ, two Eureka nodes, eureka-drain) and three pods.
#
#   make try                      # where kubectl's context is kind's, minikube's, k3d's or a desktop's
#   make try CONTEXT=mine         # in another cluster, whose nodes can get the image eureka-drain:0.1.0
#   make try REMOVE=1             # take it all away again
set -eu
cd "$(dirname "$0")/../.."

image=eureka-drain:0.1.0
demo=manifests/overlays/demo
trial=manifests/trial
began=$(date +%s)

say() { printf '\n== %s (%s s)\n' "$1" "$(($(date +%s) - began))"; }
stop() { printf 'make try: %s\n' "$1" >&2; exit 2; }
needs() { command -v "$1" >/dev/null || stop "$1 is not installed: $2"; }
at() { kubectl --context "$context" "$@"; }
rolled_out() { at -n "$1" rollout status "$2" --timeout=5m || stop "$2 is not ready: $(hint "$1")"; }
hint() { printf 'look at  kubectl --context %s -n %s get pods,events' "$context" "$1"; }

needs kubectl "https://kubernetes.io/docs/tasks/tools/"
context=${CONTEXT:-$(kubectl config current-context 2>/dev/null || true)}
[ -n "$context" ] || stop "kubectl has no context: start a cluster first, with  kind create cluster  say"
at version >/dev/null 2>&1 || stop "no cluster answers at the context $context: does  kubectl --context $context version  work?"

if [ -n "${REMOVE:-}" ]; then
  at get namespace eureka-drain-trial >/dev/null 2>&1 || stop "the context $context has no trial to remove"
  at delete -k "$demo" --ignore-not-found
  at delete -k "$trial" --ignore-not-found  # last: it says that the other one is from here
  exit
fi

# An installation that drains for somebody must not be written over.
if at get namespace eureka-drain >/dev/null 2>&1 && ! at get namespace eureka-drain-trial >/dev/null 2>&1; then
  stop "the context $context has a namespace eureka-drain that is not from here: try another cluster"
fi

case $context in
  kind-* | minikube | k3d-* | docker-desktop | rancher-desktop | orbstack | colima*)
    needs docker "it builds the image"
    say "Building the image"
    docker build --quiet --tag "$image" .
    case $context in
      kind-*) needs kind "the context $context is its own"; kind load docker-image "$image" --name "${context#kind-}" ;;
      minikube) needs minikube "the context $context is its own"; minikube image load "$image" ;;
      k3d-*) needs k3d "the context $context is its own"; k3d image import "$image" --cluster "${context#k3d-}" ;;
    esac
    ;;
  *)
    [ -n "${CONTEXT:-}" ] ||
      stop "the context $context is no local cluster that is known here. If it is the one, say so:  make try CONTEXT=$context"
    echo "The nodes of $context must be able to get the image $image: docs/image.md says how it is built."
    ;;
esac

say "Starting RabbitMQ, two Eureka nodes and eureka-drain"
at apply -k "$trial" >/dev/null  # first: it says whose the other namespace is
at apply -k "$demo" >/dev/null
for what in statefulset/rabbitmq statefulset/eureka deployment/eureka-drain-watch deployment/eureka-drain-work \
  deployment/eureka-drain-ops; do rolled_out eureka-drain "$what"; done

say "Waiting until three pods are registered"
rolled_out eureka-drain-trial deployment/hello
sleep 35  # a node's list shows what is new 30 s later

say "Rolling them out anew"
at -n eureka-drain-trial rollout restart deployment/hello
rolled_out eureka-drain-trial deployment/hello

say "Waiting for the three old pods: each serves on for 100 s"
drains() { at -n eureka-drain exec deployment/eureka-drain-ops -- eureka-drain drains --since 15m; }
for _ in $(seq 60); do
  found=$(drains || true)
  graceful=$(printf '%s\n' "$found" | grep -c '[^t] graceful' || true)
  [ "$graceful" -lt 3 ] || break
  sleep 5
done
printf '%s\n' "$found"
[ "$graceful" -ge 3 ] || stop "not every pod is called graceful: docs/runbook.md says what the words above mean"

say "Done: no caller was left with a pod that had gone"
cat <<END

Roll it out again as you like, and look:
  kubectl --context $context -n eureka-drain-trial rollout restart deployment/hello
  kubectl --context $context -n eureka-drain exec deployment/eureka-drain-ops -- eureka-drain drains --since 30m
Take it away:
  make try REMOVE=1${CONTEXT:+ CONTEXT=$CONTEXT}
END
