"""The deployments of the service, and what each of them offers (doc).

A simulator is one of them at a time: its setting ``deployment``. All of them offer batch v1, which is legacy; whether
the real ones still answer it is not known, so a setting of its own (``v1_answers``) turns it off.
"""

from __future__ import annotations

from dataclasses import dataclass

from .jobs import Generation

# Where tokens are asked for: one authority for both deployments on AWS, another one for Copernicus Data Space (CDSE).
_AWS_TOKENS = "/auth/realms/main/protocol/openid-connect/token"
_CDSE_TOKENS = "/auth/realms/CDSE/protocol/openid-connect/token"
# The path that clients used until 2023. Whether it answers today is not known.
_FORMER_TOKENS = "/oauth/token"


@dataclass(frozen=True)
class Deployment:
    """One deployment.

    :param region: where it and the buckets beside it are, as ``region`` of a delivery names it; None on CDSE, whose
        names of regions are not published.
    :param token_path: path of the token URL.
    :param is_aws: on AWS results may also go to Google Cloud Storage, to a bucket with a role (``iamRoleARN``), and to
        a destination that is kept at the vendor (``pl:destinations``); CDSE takes keys alone.
    :param statistics: whether it offers batch statistical.
    """

    name: str
    region: str | None
    token_path: str
    is_aws: bool = True
    statistics: bool = True

    def offers(self, generation: Generation) -> bool:
        return generation != "statistical" or self.statistics

    @property
    def token_paths(self) -> tuple[str, ...]:
        """All paths at which it gives tokens."""
        return (self.token_path, _FORMER_TOKENS) if self.is_aws else (self.token_path,)


DEPLOYMENTS = {
    found.name: found
    for found in (
        Deployment("aws-eu", "eu-central-1", _AWS_TOKENS),
        Deployment("aws-us-west-2", "us-west-2", _AWS_TOKENS, statistics=False),
        Deployment("cdse", None, _CDSE_TOKENS, is_aws=False),
    )
}
# Paths of token requests at any deployment.
TOKEN_PATHS = (_AWS_TOKENS, _CDSE_TOKENS, _FORMER_TOKENS)
