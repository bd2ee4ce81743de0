"""The cluster's certificates and kubeconfigs, made once. To Kubernetes O is a client's groups, and CN its name."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.home import API_SERVICE, HUB_ADDRESS, SECOND_API_ADDRESS, STATE, node_address
from tests.cluster.machine import run

KEYS = STATE / "keys"
API_URL = f"https://{HUB_ADDRESS}:6443"
ADMIN_KUBECONFIG = KEYS / "admin.kubeconfig"
_CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controllers": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
    "policies": "/O=system:masters/CN=kube-router",
}
_API_NAMES = (
    *(f"DNS:kubernetes{rest}" for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local")),
    "DNS:localhost",
    "IP:127.0.0.1",
    f"IP:{HUB_ADDRESS}",
    f"IP:{SECOND_API_ADDRESS}",
    f"IP:{API_SERVICE}",
)


def make_keys(nodes: int) -> None:
    """Make what is missing."""
    KEYS.mkdir(parents=True, exist_ok=True)
    if not (KEYS / "ca.crt").exists():
        usage = "keyUsage=critical,digitalSignature,keyCertSign,cRLSign"
        made = ("-x509", *_NEW_KEY, "-days", "3650", "-subj", "/CN=cluster", "-addext", usage)
        run("openssl", "req", *made, "-keyout", str(KEYS / "ca.key"), "-out", str(KEYS / "ca.crt"))
        run("openssl", "genrsa", "-out", str(KEYS / "accounts.key"), "2048")
        run("openssl", "rsa", "-in", str(KEYS / "accounts.key"), "-pubout", "-out", str(KEYS / "accounts.pub"))
    _certificate("apiserver", "/CN=kube-apiserver", *_API_NAMES)
    _certificate("apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client")
    for name, subject in _CLIENTS.items():
        _certificate(name, subject)
        _kubeconfig(name)
    for number in range(1, nodes + 1):
        name = f"node-{number}"
        _certificate(name, f"/O=system:nodes/CN=system:node:{name}", f"DNS:{name}", f"IP:{node_address(number)}")
        _kubeconfig(name)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _certificate(name: str, subject: str, *names: str) -> None:
    certificate, key, request = (KEYS / f"{name}.{kind}" for kind in ("crt", "key", "csr"))
    if certificate.exists():
        return
    run("openssl", "req", "-new", *_NEW_KEY, "-subj", subject, "-keyout", str(key), "-out", str(request))
    extensions = KEYS / f"{name}.ext"
    alternative = f"subjectAltName={','.join(names)}\n" if names else ""
    extensions.write_text(f"extendedKeyUsage=serverAuth,clientAuth\n{alternative}")
    authority = ("-CA", str(KEYS / "ca.crt"), "-CAkey", str(KEYS / "ca.key"), "-CAcreateserial")
    signed = ("-req", "-days", "3650", "-in", str(request), *authority, "-extfile", str(extensions))
    run("openssl", "x509", *signed, "-out", str(certificate))


def _kubeconfig(name: str) -> Path:
    file = KEYS / f"{name}.kubeconfig"
    user = {"client-certificate": str(KEYS / f"{name}.crt"), "client-key": str(KEYS / f"{name}.key")}
    cluster = {"server": API_URL, "certificate-authority": str(KEYS / "ca.crt")}
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": name}}],
    }
    file.write_text(json.dumps(text, indent=1))
    return file
