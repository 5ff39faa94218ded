"""A login goes to token servers that the registry itself named, and to no other."""

from __future__ import annotations

import pytest

from carferry.registry.logins.login import Login
from carferry.registry.logins.realms import NotThere, Place, check_realm

LOGIN = Login("me", "sesame")
GOES = [
    ("docker.io", "https://registry-1.docker.io", "https://auth.docker.io/token"),
    ("ghcr.io", "https://ghcr.io", "https://ghcr.io/token"),
    ("Gitea", "https://gitea.example.com", "https://gitea.example.com/v2/token"),
    ("Quay", "https://quay.io", "https://quay.io/v2/auth"),
    ("Harbor", "https://harbor.example.com:8443", "https://harbor.example.com:8443/service/token"),
    ("GitLab", "https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
    ("OpenShift", "https://default-route-openshift-image-registry.apps.x.com",
     "https://default-route-openshift-image-registry.apps.x.com/openshift/token"),
    ("OpenShift inside", "https://image-registry.openshift-image-registry.svc:5000",
     "https://image-registry.openshift-image-registry.svc:5000/openshift/token"),
    ("Azure", "https://x.azurecr.io", "https://x.azurecr.io/oauth2/token"),
    ("without TLS, same host", "http://gitea.lan:3000", "http://gitea.lan:3000/v2/token"),
    ("without TLS, other port", "http://gitlab.lan:5050", "http://gitlab.lan/jwt/auth"),
    ("without TLS, to TLS", "http://gitlab.lan:5050", "https://gitlab.lan/jwt/auth"),
    ("case of the host", "http://gitea.lan", "http://GITEA.lan/v2/token"),
    ("loopback", "http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
    ("loopback by names", "http://localhost:5000", "http://127.0.0.1:5001/token"),
    ("loopback of IPv6", "http://[::1]:5000", "http://localhost:5001/token"),
    ("a forwarded port", "http://127.0.0.1:5000", "https://harbor.lan/service/token"),
]  # fmt: skip
STAYS = [
    ("in clear from TLS", "https://gitea.lan", "http://gitea.lan/v2/token", "without TLS"),
    ("in clear to here", "https://gitea.lan", "http://127.0.0.1/v2/token", "without TLS"),
    ("elsewhere in clear", "http://gitea.lan", "http://evil.com/token", "another host"),
    ("elsewhere by TLS", "http://gitea.lan", "https://evil.com/token", "another host"),
    ("a parent", "http://a.lan", "https://lan/token", "another host"),
    ("a longer name", "http://a.lan", "https://a.lan.evil.com/token", "another host"),
    ("here to there in clear", "http://localhost:5000", "http://evil.com/token", "another host"),
    ("there to here", "http://gitea.lan", "http://127.0.0.1/token", "another host"),
]


def place(url: str) -> Place:
    """Return the place of a good address."""
    found = Place.parse(url)
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "registry", "realm"), GOES)
def test_token_servers_of_a_registry_get_its_login(name: str, registry: str, realm: str) -> None:
    check_realm(place(realm), place(registry), LOGIN, None)


@pytest.mark.parametrize(("name", "registry", "realm", "why"), STAYS)
def test_what_anybody_may_have_named_gets_none(
    name: str, registry: str, realm: str, why: str
) -> None:
    with pytest.raises(NotThere, match=why):
        check_realm(place(realm), place(registry), LOGIN, None)
    check_realm(place(realm), place(registry), None, None)  # nothing to lose


@pytest.mark.parametrize(
    ("other", "goes"), [(LOGIN, True), (Login("me", "x"), False), (None, False)]
)
def test_a_host_with_the_same_login_is_vouched_for_by_the_user(
    other: Login | None, goes: bool
) -> None:
    asked = []

    def elsewhere(host: str, tls: bool) -> Login | None:
        asked.append((host, tls))
        return other

    realm, registry = place("https://auth.lan:8443/token"), place("http://registry.lan")
    if goes:
        check_realm(realm, registry, LOGIN, elsewhere)
    else:
        with pytest.raises(NotThere, match=r"give auth\.lan:8443 the same login"):
            check_realm(realm, registry, LOGIN, elsewhere)
    assert asked == [("auth.lan:8443", True)]


@pytest.mark.parametrize(
    "text",
    ["", "x", "/token", "//x/token", "ftp://x/t", "https://", "https:///t", "https://a b/",
     "https://x:99999/", "https://x:y/", "https://[::1/", "https://me:pw@x/", "https://x/\r\ny",
     "https://\xe9/", "javascript:alert(1)"],
)  # fmt: skip
def test_a_realm_that_is_no_address_is_none(text: str) -> None:
    assert Place.parse(text) is None
