"""The runbook in a bundle: what somebody who has never seen the portal does to run the hub themselves."""

from provisioning.models import Hub
from provisioning.specs import CILogonSignOn, HubSpec, LocalSignOn, OidcSignOn, existing_secret_name

_TEXT = """\
# Run {name} yourselves

You need a Kubernetes cluster (1.28 or newer) with a storage class, an ingress or gateway, `helm` and `kubectl`, and
somebody who can change {dns}.

## 1. Check what you hold

    sha256sum -c SHA256SUMS

## 2. Namespace and secret

    kubectl create namespace {slug}

{secret}

## 3. Install

    helm repo add jupyterhub https://hub.jupyter.org/helm-chart/
    helm upgrade --install {slug} jupyterhub/jupyterhub{version} --namespace {slug} \\
        --values values.yaml --values place.yaml

`place.yaml` is yours: `ingress.hosts`, `ingress.ingressClassName`, `hub.db.pvc.storageClassName`,
`singleuser.storage.dynamic.storageClass`. Everything else stands in `values.yaml`. `images.json` lists what ran here,
by digest where the nodes said it: copy those images to a registry of yours before ours is gone.

The service and role `portal` and `portal-check` in `values.yaml` let the consortium meter and check the hub. Take both
out of `hub.services` and `hub.loadRoles` when you do not want that any more.

## 4. Homes

`{slug}-homes.tar.gz` is a file of its own beside this bundle. In it each person's home is a folder, and `SHA256SUMS`
names every file. For each person make the claim as `storage.json` has it, mount it in a pod of the hub's own image,
unpack the folder into it as user 1000 and group 100, and compare:

    tar -xzf {slug}-homes.tar.gz && cd {slug} && sha256sum -c SHA256SUMS

## 5. Sign-on

{sign_on}

## 6. Prove it, then switch

Sign in, start a server, write a file, read it back. Then let {dns} lead to your cluster. The old hub stays as it is
until the consortium ends it and certifies so.

## What else is here

`users.csv` who may sign in; `usage.csv` every day's use, people counted, not named; `agreement/` and `invoices/` as
they were signed and issued; `cost-forecast.csv` what running it cost of late; `spec.json` the specification itself.
"""

_SECRETS = {
    "local": """\
The hub keeps names of its own, and its people share a password. Choose a new one:

    kubectl --namespace {slug} create secret generic {secret} --from-literal=values.yaml='
    hub: {{config: {{SharedPasswordAuthenticator: {{user_password: CHOOSE-ONE, admin_password: CHOOSE-ANOTHER}}}}}}'
""",
    "oauth": """\
Register a client of your own with the identity provider, and keep its secret:

    kubectl --namespace {slug} create secret generic {secret} --from-literal=values.yaml='
    hub: {{config: {{{authenticator}: {{client_secret: YOUR-CLIENT-SECRET}}}}}}'
""",
}


def runbook(hub: Hub, spec: HubSpec) -> str:
    """Will return the runbook of that hub, in Markdown."""
    secret = existing_secret_name(spec)
    dns = f"the DNS record of {spec.domain}" if spec.domain else "a DNS record"
    match spec.sign_on:
        case LocalSignOn():
            how, authenticator = "Tell people the new password, or connect your identity provider instead.", ""
        case OidcSignOn() as given:
            authenticator = "GenericOAuthenticator"
            how = f"Allow the redirect address https://YOUR-HOST/hub/oauth_callback at {given.authorize_url}."
        case CILogonSignOn() as given:
            authenticator = "CILogonOAuthenticator"
            how = f"Register the client with CILogon for {given.idp_entity_id}, with your redirect address."
    kind = "local" if isinstance(spec.sign_on, LocalSignOn) else "oauth"
    version = f" --version {hub.cluster.chart_version}" if hub.cluster.chart_version else ""
    return _TEXT.format(
        name=spec.display_name, slug=spec.slug, dns=dns, version=version, sign_on=how,
        secret=_SECRETS[kind].format(slug=spec.slug, secret=secret, authenticator=authenticator),
    )  # fmt: skip
